//! Dates and instants from end to end of their integers and texts, in every kind of zone: an answer
//! or an error, never a panic, for a panic ends the whole node.

use phantom_types::catalog::PROCEDURES;
use phantom_types::format::{read_text, write_text};
use phantom_types::{
    DateOrder, DateOutput, Datum, EvalContext, NO_TYPMOD, SessionFormat, TimeZone, TypeId,
};
use proptest::prelude::*;

use crate::golden::context;

/// One of each kind: none, with and without summer time, half an hour of it, far from Greenwich,
/// a name in `Etc`, POSIX's rules, and the furthest that a number of hours and a rule may be.
const ZONES: [&str; 14] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Kiritimati",
    "Africa/Monrovia",
    "Etc/GMT+12",
    "CET-1CEST,M3.5.0,M10.5.0/3",
    "XYZ24:59:59",
    "XYZ-24:59:59ABC,J1,J365",
    "-5.5",
    "167.999",
    "-167.999",
];

const UNITS: [&str; 26] = [
    "microseconds",
    "milliseconds",
    "second",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "quarter",
    "year",
    "decade",
    "century",
    "millennium",
    "julian",
    "isoyear",
    "dow",
    "isodow",
    "doy",
    "epoch",
    "timezone",
    "timezone_hour",
    "timezone_minute",
    "now",
    "Europe/Berlin",
    "MSK",
    "+24:59:59",
];

fn in_zone(zone: &str, output: DateOutput) -> EvalContext {
    let time_zone = TimeZone::from_setting(zone).unwrap();
    let date_order = DateOrder::Mdy;
    let format =
        SessionFormat { date_output: output, date_order, time_zone, extra_float_digits: 1 };
    EvalContext { format, ..context() }
}

fn contexts() -> impl Iterator<Item = EvalContext> {
    let styles = [DateOutput::Iso, DateOutput::Sql, DateOutput::Postgres, DateOutput::German];
    ZONES.iter().zip(styles.into_iter().cycle()).map(|(zone, style)| in_zone(zone, style))
}

/// Prints a value, reads its text again, and calls every procedure that takes one like it.
fn use_everywhere(value: &Datum, ty: TypeId, other: &Datum, cx: &EvalContext) {
    let mut text = String::new();
    write_text(value, &cx.format, &mut text);
    let _ = read_text(ty, NO_TYPMOD, &text, cx);
    for procedure in PROCEDURES.iter().filter(|procedure| procedure.args.contains(&ty)) {
        let units: &[&str] = if procedure.args.contains(&TypeId::TEXT) { &UNITS } else { &[""] };
        for unit in units {
            let argument = |of: &TypeId| match *of {
                TypeId::DATE | TypeId::TIMESTAMPTZ if *of == ty => value.clone(),
                TypeId::DATE | TypeId::TIMESTAMPTZ => other.clone(),
                TypeId::INT4 => Datum::Int4(3),
                _ => Datum::text(unit),
            };
            let arguments: Vec<Datum> = procedure.args.iter().map(argument).collect();
            let fit = arguments.iter().zip(procedure.args).all(|(value, ty)| value.fits(*ty));
            if let (true, Ok(answer)) = (fit, procedure.call(&arguments, cx)) {
                let mut text = String::new();
                if !answer.is_null() {
                    write_text(&answer, &cx.format, &mut text);
                }
            }
        }
    }
}

const INSTANT_FIRST: i64 = -211_813_488_000_000_000;
const INSTANT_END: i64 = 9_223_371_331_200_000_000;
const DATE_FIRST: i32 = -2_451_545;
const DATE_END: i32 = 2_145_031_949;
const DAY: i64 = 86_400_000_000;

fn instants() -> impl Strategy<Value = i64> {
    let near = |at: i64| (-8 * DAY..8 * DAY).prop_map(move |by| at.saturating_add(by));
    prop_oneof![
        4 => any::<i64>(),
        4 => INSTANT_FIRST..INSTANT_END,
        2 => INSTANT_FIRST..0,
        1 => near(INSTANT_FIRST),
        1 => near(INSTANT_END),
        1 => near(i64::MIN),
        1 => near(i64::MAX),
        // Year 9999 and year 9999 before Christ, where the library of zones ends.
        1 => near(252_455_616_000_000_000),
        1 => near(-378_650_000_000_000_000),
    ]
}

fn dates() -> impl Strategy<Value = i32> {
    let near = |at: i32| (-8..=8).prop_map(move |by: i32| at.saturating_add(by));
    prop_oneof![
        4 => any::<i32>(),
        2 => -4_000_000_i32..4_000_000,
        1 => near(DATE_FIRST),
        1 => near(DATE_END),
        1 => near(i32::MIN),
        1 => near(i32::MAX),
        // The last day of instants.
        1 => near(106_751_983),
    ]
}

fn texts() -> impl Strategy<Value = String> {
    let year = prop_oneof![1_i64..12_000, 1_i64..400_000, any::<i32>().prop_map(i64::from)];
    let tail = prop::sample::select(vec![
        "",
        " 23:59:59.9999999",
        " 24:00",
        " 00:00 Europe/Berlin",
        " MSK",
        " VOLT",
        " 12:00+15:59:59",
        " 12:00-15:59:59",
        " 12:00 CET DST DST",
    ]);
    let era = prop::sample::select(vec!["", " BC", " AD"]);
    let dates = (year, 1..=12, 1..=31, tail, era)
        .prop_map(|(y, m, d, tail, era)| format!("{y:04}-{m:02}-{d:02}{tail}{era}"));
    let julian = any::<u32>().prop_map(|day| format!("J{day}"));
    let of_year = (any::<i32>(), 1..=366).prop_map(|(year, day)| format!("{year}.{day:03} BC"));
    let token = prop::sample::select(vec![
        "2020",
        "9999",
        "10001",
        "2147483647",
        "1",
        "12",
        "31",
        "366",
        "99",
        "000101",
        "J",
        "99999999999",
        "BC",
        "AD",
        "pm",
        "dst",
        "T",
        "now",
        "today",
        "tomorrow",
        "noon",
        "epoch",
        "infinity",
        "MSK",
        "EAST",
        "z",
        "+15",
        "-15:59:59",
        "+1559",
        "12:34",
        "24:00:00",
        "59.999",
        "4714-11-24",
        "294276-12-31",
        "jan",
        "Asia/Tokyo",
        "XYZ+24",
        ".",
        "-",
        "/",
        ":",
        "\u{e9}",
    ]);
    let soup = (prop::collection::vec(token, 1..6), prop::sample::select(vec![" ", "", "-", "T"]))
        .prop_map(|(tokens, between)| tokens.join(between));
    prop_oneof![4 => dates, 1 => julian, 1 => of_year, 4 => soup, 1 => "[ -~]{0,20}"]
}

proptest! {
    #[test]
    fn no_instant_is_too_early_or_too_late_for_a_zone(instant in instants(), date in dates()) {
        for cx in contexts() {
            let (instant, date) = (Datum::TimestampTz(instant), Datum::Date(date));
            use_everywhere(&instant, TypeId::TIMESTAMPTZ, &date, &cx);
            use_everywhere(&date, TypeId::DATE, &instant, &cx);
        }
    }

    #[test]
    fn no_text_of_a_date_is_too_far_off_to_be_read(text in texts()) {
        for cx in contexts() {
            for ty in [TypeId::DATE, TypeId::TIMESTAMPTZ] {
                if let Ok(value) = read_text(ty, NO_TYPMOD, &text, &cx) {
                    let mut shown = String::new();
                    write_text(&value, &cx.format, &mut shown);
                }
            }
        }
    }

    #[test]
    fn no_name_of_a_zone_ends_the_process(name in "[A-Za-z<>+:,/.0-9 MJ\u{e9}-]{0,24}") {
        if let Some(zone) = TimeZone::from_setting(&name) {
            let cx = in_zone("UTC", DateOutput::Postgres);
            let format = SessionFormat { time_zone: zone, ..cx.format.clone() };
            for micros in [i64::MIN + 1, INSTANT_FIRST, 0, INSTANT_END - 1, i64::MAX - 1] {
                write_text(&Datum::TimestampTz(micros), &format, &mut String::new());
            }
        }
    }
}

#[test]
fn an_instant_before_all_instants_is_out_of_range() {
    for cx in contexts() {
        for text in ["10001-01-01 BC", "4714-01-01 BC", "2147483647-12-31 BC", "300000-01-01"] {
            let error = read_text(TypeId::TIMESTAMPTZ, NO_TYPMOD, text, &cx).unwrap_err();
            assert_eq!(error.sqlstate.as_str(), "22008", "{text}");
            assert_eq!(error.message, format!("timestamp out of range: \"{text}\""));
        }
    }
}
