//! The walls between tenants, behind the filter of every query.

use domain::batch;
use projections::analyst;
use sqlx::postgres::PgPool;

use crate::support::{House, hourly, id, options_of, spec, tenant};

async fn house() -> House {
    let house = House::new().await;
    house.journal.request(&tenant("acme"), id(1), "09:00");
    house.journal.request(&tenant("globex"), id(2), "09:00");
    for (name, number) in [("acme", 1), ("globex", 2)] {
        let owner = tenant(name);
        house.journal.enqueue(&owner, id(number), spec(), "09:00");
        let pause = domain::queue::Command::Pause { reason: None };
        house.journal.queue(&owner, "mail", &pause, "09:00");
        house.journal.plan(&owner, id(number), hourly(""), "09:00");
        let open = batch::Command::Open(Box::default());
        let batch = id(number).into();
        house
            .journal
            .handle::<batch::Batch>(&owner, batch, &open, "09:00");
    }
    drop({
        let running = house.run();
        house.caught_up().await;
        running
    });
    house
}

const TABLES: [&str; 8] = [
    "assignment",
    "assignment_event",
    "workload",
    "command",
    "job",
    "queue",
    "schedule",
    "batch",
];

/// Which tenants a query without any filter sees.
async fn tenants(pool: &PgPool, table: &str, setup: &str) -> Result<Vec<String>, sqlx::Error> {
    let mut tx = pool.begin().await?;
    sqlx::raw_sql(sqlx::AssertSqlSafe(setup))
        .execute(&mut *tx)
        .await?;
    let sql = format!("select distinct tenant from {table} order by tenant");
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .fetch_all(&mut *tx)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_without_its_filter_sees_its_tenant_and_no_other() {
    let house = house().await;
    for table in TABLES {
        let acme = "set local role ledgerline_api; set local ledgerline.tenant = 'acme'";
        assert_eq!(
            tenants(&house.pool, table, acme).await.expect("seen"),
            ["acme"],
            "{table}"
        );
        let nobody = "set local role ledgerline_api";
        let seen = tenants(&house.pool, table, nobody).await.expect("seen");
        assert!(seen.is_empty(), "{table}: no tenant, no row");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_of_queries_changes_nothing() {
    let house = house().await;
    for sql in [
        "delete from assignment",
        "delete from job",
        "update office set pid = 0",
        "update read_side set position = 0",
        "insert into analyst_tenant values ('x', 'y')",
        "select * from analyst_tenant",
    ] {
        let mut tx = house.pool.begin().await.expect("begin");
        sqlx::raw_sql("set local role ledgerline_api")
            .execute(&mut *tx)
            .await
            .expect("a role");
        assert!(sqlx::raw_sql(sql).execute(&mut *tx).await.is_err(), "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_analyst_sees_the_tenants_granted_through_views_that_explain_themselves() {
    let house = house().await;
    let login = "walls_ann";
    analyst::grant(&house.pool, login, "it's secret", &tenant("acme"))
        .await
        .expect("granted");
    let ann = PgPool::connect_lazy_with(options_of(&house.pool, login));
    for table in TABLES {
        let view = format!("analytics.{table}");
        assert_eq!(
            tenants(&ann, &view, "select").await.expect("seen"),
            ["acme"],
            "{table}"
        );
        let described: Option<String> =
            sqlx::query_scalar("select obj_description($1::regclass, 'pg_class')")
                .bind(&view)
                .fetch_one(&ann)
                .await
                .expect("a comment");
        assert!(described.is_some(), "{view}");
    }
    analyst::grant(&house.pool, login, "another", &tenant("globex"))
        .await
        .expect("granted");
    let seen = tenants(&ann, "analytics.assignment", "select")
        .await
        .expect("seen");
    assert_eq!(seen, ["acme", "globex"]);
    assert!(
        sqlx::raw_sql("delete from assignment")
            .execute(&ann)
            .await
            .is_err()
    );
    let own: i64 = sqlx::query_scalar("select count(*) from analyst_tenant")
        .fetch_one(&ann)
        .await
        .expect("own grants");
    assert_eq!(own, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_no_name_or_no_analyst_is_refused() {
    let house = House::new().await;
    for login in [
        "",
        "Ann",
        "a-b",
        "a; drop table assignment",
        "9a",
        "postgres",
    ] {
        let granted = analyst::grant(&house.pool, login, "secret", &tenant("acme")).await;
        assert!(granted.is_err(), "{login:?}");
    }
}
