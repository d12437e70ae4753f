//! Which subject stands for which route.

/// What all subjects of the worker protocol begin with, and so what is listened to.
pub const ALL_SUBJECTS: &str = "worker.v1.>";

/// The one request that waits, and whose answer must not be lost.
pub(crate) const CLAIM_SUBJECT: &str = "worker.v1.claim";

/// An id that none has: the route says what is wrong with it.
const NO_ID: &str = "-";

/// One request of a worker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WorkerRequest {
    /// Where it is sent; `{id}` is the job's.
    pub(crate) subject: &'static str,
    /// The route that carries it out, by `POST`.
    pub(crate) path: &'static str,
}

/// All of them.
pub(crate) const REQUESTS: [WorkerRequest; 6] = [
    request(CLAIM_SUBJECT, crate::routes::CLAIM),
    request("worker.v1.jobs.{id}.heartbeat", "/v1/jobs/{id}/heartbeat"),
    request("worker.v1.jobs.{id}.complete", "/v1/jobs/{id}/complete"),
    request("worker.v1.jobs.{id}.fail", "/v1/jobs/{id}/fail"),
    request("worker.v1.jobs.{id}.release", "/v1/jobs/{id}/release"),
    request("worker.v1.enqueue", "/v1/jobs"),
];

const fn request(subject: &'static str, path: &'static str) -> WorkerRequest {
    WorkerRequest { subject, path }
}

/// The path that `subject` stands for; one that has no route, where it stands for none.
pub(crate) fn path_of(subject: &str) -> String {
    let found = REQUESTS.iter().find_map(|request| {
        let Some((front, behind)) = request.subject.split_once("{id}") else {
            return (request.subject == subject).then(|| request.path.to_owned());
        };
        let id = subject.strip_prefix(front)?.strip_suffix(behind)?;
        // Nothing in it may be taken for a part of the path.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let id = if id.chars().all(is_plain) { id } else { NO_ID };
        Some(request.path.replace("{id}", id))
    });
    found.unwrap_or_else(|| "/worker".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_stands_for_its_route_and_an_id_for_nothing_else() {
        assert_eq!(path_of("worker.v1.claim"), "/v1/jobs/claim");
        let id = "0193a1b2-0000-7000-8000-000000000000";
        let subject = format!("worker.v1.jobs.{id}.complete");
        assert_eq!(path_of(&subject), format!("/v1/jobs/{id}/complete"));
        for id in ["1/cancel?", "..%2f", "a b", "ü"] {
            let path = path_of(&format!("worker.v1.jobs.{id}.fail"));
            assert_eq!(path, "/v1/jobs/-/fail", "{id}");
        }
        for none in [
            "worker.v1",
            "worker.v1.jobs.1.cancel",
            "worker.v2.claim",
            "/v1/jobs",
        ] {
            assert_eq!(path_of(none), "/worker", "{none}");
        }
    }
}
