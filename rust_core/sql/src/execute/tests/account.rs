//! What a fragment keeps is drawn on its node's account, and comes back however it ends.

use phantom_base::sqlstate;
use phantom_types::Account;

use super::*;

const ROWS: i32 = 64;
const ROW_BYTES: usize = 100 << 10;
/// Raw rows of a batch, and once more what was decoded of them.
const BATCH_BYTES: usize = 1 << 20;
const ALL_BYTES: usize = ROWS as usize * ROW_BYTES;

/// What keeps rows between two steps of one row each, and how many bytes at least.
const STATEMENTS: [(&str, usize); 8] = [
    ("SELECT b FROM wide", 2 * BATCH_BYTES),
    ("SELECT k FROM wide WHERE b > ''", BATCH_BYTES),
    ("SELECT b FROM wide ORDER BY b DESC", ALL_BYTES),
    ("SELECT DISTINCT b FROM wide", ALL_BYTES),
    ("SELECT b, count(*), max(b) FROM wide GROUP BY b", 2 * ALL_BYTES),
    ("SELECT max(w.b) FROM wide w CROSS JOIN numbers n", 2 * BATCH_BYTES),
    ("SELECT count(w.b) FROM numbers n JOIN wide w USING (k)", ALL_BYTES),
    ("UPDATE wide SET b = b || 'x' RETURNING b", ALL_BYTES),
];

fn wide() -> Database {
    let mut database = Database::default();
    database.create("wide", &[("K", TypeId::INT4), ("b", TypeId::TEXT)], &[1]);
    database.create("numbers", &[("K", TypeId::INT4)], &[1]);
    for row in 0..ROWS {
        let text = format!("{row:04}").repeat(ROW_BYTES / 4);
        database.put("wide", &[Datum::Int4(row), Datum::text(&text)], 1);
        database.put("numbers", &[Datum::Int4(row)], 1);
    }
    database
}

impl Database {
    fn accounted(&self, text: &str, account: &Arc<Account>) -> Result<Fragment> {
        let memory = QueryMemory { bytes: PLENTY, account: Some(account.clone()) };
        self.fragment_of(text, &[], memory, eval())
    }
}

/// Steps one row at a time, at most so often; whether it has ended, and the most that was held
/// between two steps.
fn step(
    fragment: &mut Fragment,
    storage: &Database,
    account: &Account,
    most: usize,
) -> (bool, usize) {
    let mut peak = 0;
    for _ in 0..most {
        if let Step::Done(_) = fragment.step(storage, StepBudget { rows: 1 }).unwrap() {
            return (true, peak);
        }
        peak = peak.max(account.held());
    }
    (false, peak)
}

#[test]
fn what_is_kept_between_two_steps_is_held_and_comes_back_wherever_a_fragment_is_left() {
    let database = wide();
    for (text, least) in STATEMENTS {
        let account = Account::new(PLENTY);
        let mut fragment = database.accounted(text, &account).unwrap();
        let (has_ended, peak) = step(&mut fragment, &database, &account, usize::MAX);
        assert!(has_ended && peak >= least, "{text}: {peak} bytes of {least}");
        drop(fragment);
        assert_eq!(account.held(), 0, "{text}");
        for left_after in [0, 1, 20, 70, 100, 200] {
            let mut fragment = database.accounted(text, &account).unwrap();
            step(&mut fragment, &database, &account, left_after);
            drop(fragment);
            assert_eq!(account.held(), 0, "{text}, left after {left_after} steps");
        }
    }
}

#[test]
fn what_the_account_has_not_is_refused_and_leaves_nothing_behind() {
    let database = wide();
    for (text, least) in STATEMENTS {
        let account = Account::new(least);
        let refused = database
            .accounted(text, &account)
            .and_then(|fragment| run(fragment, &database, 1))
            .expect_err(text);
        assert_eq!(refused.sqlstate, sqlstate::OUT_OF_MEMORY, "{text}: {refused}");
        assert!(refused.hint.contains("--sql-memory"), "{text}: {}", refused.hint);
        assert_eq!((account.held(), account.refused()), (0, 1), "{text}");
    }
}
