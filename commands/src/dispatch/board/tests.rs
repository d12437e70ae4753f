//! What the board gives out, each as a claim.

use domain::Name;
use domain::job::Retry;
use domain::labels::Labels;
use domain::queue::Limits;

use super::*;

fn tenant() -> Tenant {
    Tenant::new("acme").expect("a token")
}

fn token(text: &str) -> Token {
    Token::new(text).expect("a token")
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn job(number: u128) -> JobKey {
    (tenant(), Uuid::from_u128(number))
}

/// So many milliseconds after the beginning.
fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_700_000_000_000 + ms).expect("a time")
}

fn spec(queue: &str) -> Spec {
    Spec {
        queue: token(queue),
        kind: name("send"),
        priority: job::Priority::Normal,
        payload: None,
        run_after: None,
        deadline: None,
        timeout_s: None,
        retry: Retry::default(),
        fairness_key: None,
        capabilities: job::Capabilities::default(),
        labels: Labels::default(),
        parent: None,
        unique: None,
    }
}

fn enqueue(board: &mut Board, number: u128, spec: Spec) {
    let waiting = WaitingJob {
        ready_at: spec.run_after,
        spec: Arc::new(spec),
        is_whole: true,
        attempt: 0,
    };
    board.insert(job(number), waiting, at(0));
}

fn claim(queues: &[&str], jobs_max: usize) -> Claim {
    Claim {
        tenant: tenant(),
        queues: queues.iter().copied().map(token).collect(),
        worker: name("w1"),
        capabilities: job::Capabilities::default(),
        jobs_max,
        bytes_max: usize::MAX,
        lease: Duration::from_secs(10),
        wait: Duration::ZERO,
        actor: domain::Actor {
            principal: name("w1"),
            on_behalf_of: None,
        },
    }
}

/// The numbers of the jobs that a claim gets, as started.
fn take(board: &mut Board, claim: &Claim, now: Timestamp) -> Vec<u128> {
    let offers = board.take(claim, now);
    for offer in &offers {
        board.started(&(tenant(), offer.id), offer.attempt, now, now);
    }
    offers.iter().map(|offer| offer.id.as_u128()).collect()
}

fn complete(board: &mut Board, number: u128, now: Timestamp) {
    let completed = job::Event::Completed {
        attempt: 1,
        result: None,
        parent: None,
    };
    assert!(board.happened(&job(number), &completed, now));
}

fn limit(board: &mut Board, limits: &str) {
    let limits: Limits = serde_json::from_str(limits).expect("limits");
    let configured = queue::Event::Configured(limits);
    board.queue_happened(&tenant(), &token("mail"), &configured);
}

#[test]
fn the_first_come_is_the_first_served_and_nothing_is_given_out_twice() {
    let mut board = Board::default();
    for number in 1..=3 {
        enqueue(&mut board, number, spec("mail"));
    }
    assert_eq!(take(&mut board, &claim(&["mail"], 2), at(0)), [1, 2]);
    assert_eq!(take(&mut board, &claim(&["mail"], 2), at(0)), [3]);
    assert!(take(&mut board, &claim(&["mail"], 2), at(0)).is_empty());
    assert!(take(&mut board, &claim(&["post"], 2), at(0)).is_empty());
}

#[test]
fn what_presses_comes_first_and_what_is_low_comes_all_the_same() {
    let mut board = Board::default();
    for number in 1..=20 {
        enqueue(&mut board, number, spec("mail"));
    }
    let with = |priority| Spec {
        priority,
        ..spec("mail")
    };
    enqueue(&mut board, 100, with(job::Priority::Low));
    enqueue(&mut board, 200, with(job::Priority::Critical));
    let order = take(&mut board, &claim(&["mail"], 30), at(0));
    assert_eq!(order[0], 200);
    let low = order.iter().position(|number| *number == 100);
    assert!(low.is_some_and(|place| place < 8), "{order:?}");
    assert_eq!(order.len(), 22);
}

#[test]
fn fairness_keys_take_turns() {
    let mut board = Board::default();
    let of = |key: &str| Spec {
        fairness_key: Some(name(key)),
        ..spec("mail")
    };
    for number in 1..=100 {
        enqueue(&mut board, number, of("big"));
    }
    enqueue(&mut board, 1_000, of("small"));
    enqueue(&mut board, 1_001, of("small"));
    let order = take(&mut board, &claim(&["mail"], 4), at(0));
    assert_eq!(order, [1, 1_000, 2, 1_001]);
}

#[test]
fn no_more_of_a_key_or_a_queue_run_than_the_limits_say() {
    let mut board = Board::default();
    limit(&mut board, r#"{"running_max":3,"running_per_key_max":1}"#);
    let of = |key: &str| Spec {
        fairness_key: Some(name(key)),
        ..spec("mail")
    };
    for number in 1..=5 {
        enqueue(&mut board, number, of("a"));
    }
    enqueue(&mut board, 6, of("b"));
    let all = claim(&["mail"], 10);
    assert_eq!(take(&mut board, &all, at(0)), [1, 6]);
    complete(&mut board, 1, at(1));
    assert_eq!(take(&mut board, &all, at(1)), [2]);
    // A queue's own limit counts jobs of every key, and those without one.
    enqueue(&mut board, 7, spec("mail"));
    enqueue(&mut board, 8, spec("mail"));
    assert_eq!(take(&mut board, &all, at(1)), [7]);
    limit(&mut board, "{}");
    assert_eq!(take(&mut board, &all, at(2)).len(), 4);
}

#[test]
fn keys_that_had_no_room_come_in_the_order_of_their_jobs_when_the_limit_goes() {
    let mut board = Board::default();
    limit(&mut board, r#"{"running_per_key_max":1}"#);
    for number in 1..=40 {
        let fairness_key = Some(name(&format!("key-{}", number % 20)));
        enqueue(
            &mut board,
            number,
            Spec {
                fairness_key,
                ..spec("mail")
            },
        );
    }
    let all = claim(&["mail"], 100);
    assert_eq!(take(&mut board, &all, at(0)).len(), 20);
    assert!(take(&mut board, &all, at(0)).is_empty());
    limit(&mut board, "{}");
    assert_eq!(take(&mut board, &all, at(0)), (21..=40).collect::<Vec<_>>());
}

#[test]
fn a_paused_queue_gives_out_nothing_until_it_is_resumed() {
    let mut board = Board::default();
    enqueue(&mut board, 1, spec("mail"));
    let paused = queue::Event::Paused { reason: None };
    board.queue_happened(&tenant(), &token("mail"), &paused);
    assert!(take(&mut board, &claim(&["mail"], 1), at(0)).is_empty());
    board.queue_happened(&tenant(), &token("mail"), &queue::Event::Resumed);
    assert_eq!(take(&mut board, &claim(&["mail"], 1), at(0)), [1]);
}

#[test]
fn no_more_begin_in_a_period_than_the_rate_says() {
    let mut board = Board::default();
    limit(&mut board, r#"{"rate":{"jobs":2,"period_ms":1000}}"#);
    for number in 1..=5 {
        enqueue(&mut board, number, spec("mail"));
    }
    let all = claim(&["mail"], 10);
    assert_eq!(take(&mut board, &all, at(0)), [1, 2]);
    assert!(take(&mut board, &all, at(999)).is_empty());
    assert_eq!(board.next_rate_period(&all), Some(at(1_000)));
    assert_eq!(take(&mut board, &all, at(1_000)), [3, 4]);
}

#[test]
fn a_worker_gets_only_what_it_can_do() {
    let mut board = Board::default();
    let gpu = || job::Capabilities::try_from(vec![name("gpu")]).expect("few");
    let with_gpu = Spec {
        capabilities: gpu(),
        ..spec("mail")
    };
    enqueue(&mut board, 1, with_gpu);
    enqueue(&mut board, 2, spec("mail"));
    assert_eq!(take(&mut board, &claim(&["mail"], 10), at(0)), [2]);
    let able = Claim {
        capabilities: gpu(),
        ..claim(&["mail"], 10)
    };
    assert_eq!(take(&mut board, &able, at(0)), [1]);
}

#[test]
fn a_job_waits_for_its_time() {
    let mut board = Board::default();
    let later = Spec {
        run_after: Some(at(500)),
        ..spec("mail")
    };
    enqueue(&mut board, 1, later);
    let one = claim(&["mail"], 1);
    assert!(take(&mut board, &one, at(0)).is_empty());
    assert_eq!(board.next_due(), Some(at(500)));
    assert!(board.pass(at(500), 10).is_empty());
    assert_eq!(take(&mut board, &one, at(500)), [1]);
}

#[test]
fn a_lease_ends_unless_its_worker_is_heard_of() {
    let mut board = Board::default();
    enqueue(&mut board, 1, spec("mail"));
    take(&mut board, &claim(&["mail"], 1), at(0));
    assert_eq!(board.beat(&job(1), 1, None, at(8_000)), Some(at(18_000)));
    assert_eq!(board.beat(&job(1), 2, None, at(8_000)), None);
    assert!(board.pass(at(10_000), 10).is_empty());
    let ended = Overdue {
        job: job(1),
        command: job::Command::Expire {
            attempt: 1,
            cause: Expiry::Lease,
        },
    };
    assert_eq!(board.pass(at(18_000), 10), [ended]);
}

#[test]
fn timeout_and_deadline_end_what_runs_and_what_waits() {
    let mut board = Board::default();
    let limited = Spec {
        timeout_s: Some(5.try_into().expect("seconds")),
        deadline: Some(at(7_000)),
        ..spec("mail")
    };
    enqueue(&mut board, 1, limited.clone());
    enqueue(&mut board, 2, limited);
    take(&mut board, &claim(&["mail"], 1), at(0));
    let commands = |overdue: Vec<Overdue>| -> Vec<job::Command> {
        overdue.into_iter().map(|overdue| overdue.command).collect()
    };
    let expire = |cause| job::Command::Expire { attempt: 1, cause };
    assert_eq!(
        commands(board.pass(at(5_000), 10)),
        [expire(Expiry::Timeout)]
    );
    assert_eq!(
        commands(board.pass(at(7_000), 10)),
        [expire(Expiry::Deadline), job::Command::Overdue]
    );
}

#[test]
fn the_timeout_of_an_attempt_that_is_taken_up_counts_from_its_start() {
    let mut board = Board::default();
    let limited = Spec {
        timeout_s: Some(5.try_into().expect("seconds")),
        ..spec("mail")
    };
    enqueue(&mut board, 1, limited);
    board.started(&job(1), 1, at(0), at(4_000));
    let ended = Overdue {
        job: job(1),
        command: job::Command::Expire {
            attempt: 1,
            cause: Expiry::Timeout,
        },
    };
    assert_eq!(board.pass(at(5_000), 10), [ended]);
}

#[test]
fn what_was_offered_in_vain_is_offered_again() {
    let mut board = Board::default();
    enqueue(&mut board, 1, spec("mail"));
    let one = claim(&["mail"], 1);
    assert_eq!(board.take(&one, at(0)).len(), 1);
    assert!(board.take(&one, at(0)).is_empty());
    board.taken_back(&job(1), Duration::from_secs(1), at(0));
    assert!(board.take(&one, at(0)).is_empty());
    assert!(board.pass(at(1_000), 10).is_empty());
    assert_eq!(take(&mut board, &one, at(1_000)), [1]);
    // It runs by now: nothing is taken back.
    board.taken_back(&job(1), Duration::from_secs(1), at(0));
    assert!(board.take(&one, at(0)).is_empty());
}

#[test]
fn queues_of_one_claim_take_turns() {
    let mut board = Board::default();
    for number in 1..=50 {
        enqueue(&mut board, number, spec("mail"));
    }
    enqueue(&mut board, 100, spec("post"));
    let order = take(&mut board, &claim(&["mail", "post"], 4), at(0));
    assert!(order.contains(&100), "{order:?}");
}

#[test]
fn what_has_ended_leaves_nothing_behind() {
    let mut board = Board::default();
    let limited = Spec {
        timeout_s: Some(5.try_into().expect("seconds")),
        deadline: Some(at(1_000_000)),
        ..spec("mail")
    };
    for number in 1..=10 {
        enqueue(&mut board, number, limited.clone());
    }
    take(&mut board, &claim(&["mail"], 10), at(0));
    for number in 1..=10 {
        complete(&mut board, number, at(1));
    }
    assert_eq!(board.open_jobs(), 0);
    assert_eq!((board.next_due(), board.spec_bytes), (None, 0));
    let depths = board.depths(&tenant());
    assert_eq!(depths, [(token("mail"), Depth::default())]);
}
