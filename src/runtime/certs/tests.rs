use super::*;

const DAY: i64 = 24;

fn names() -> Vec<String> {
    service_names("haldane-webhook", "haldane-system")
}

fn start() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

/// `hours` after the start, with the default lifetimes: a year, 90 days, an hour.
fn terms(names: &[String], hours: i64) -> Terms<'_> {
    let now = start() + SignedDuration::from_hours(hours);
    Terms { names, lifetimes: Lifetimes::default(), now }
}

fn authorities(material: &Material) -> usize {
    material.ca_bundle.matches(END_LINE).count()
}

/// Checks what a client that trusts the bundle checks.
fn serves(material: &Material, now: Timestamp) -> bool {
    let leaf_der = first(&material.chain).unwrap();
    let leaf = parse(&leaf_der).unwrap();
    let signed_by =
        |ca: &CertificateDer| leaf.verify_signature(Some(parse(ca).unwrap().public_key())).is_ok();
    let mut bundle = CertificateDer::pem_slice_iter(material.ca_bundle.as_bytes()).map(Result::unwrap);
    let (from, until) = validity(&leaf).unwrap();
    from <= now && until > now && bundle.any(|ca| signed_by(&ca))
}

#[test]
fn new_material_serves_every_name_and_needs_no_renewal() {
    let names = names();
    let made = terms(&names, 0).make("").unwrap();
    assert!(serves(&made, start()));
    let der = first(&made.chain).unwrap();
    assert!(covers(&parse(&der).unwrap(), &names));
    assert_eq!(terms(&names, 0).renew(&made, true).unwrap(), None);
    assert_eq!(expiry(&made.chain).unwrap(), start() + SignedDuration::from_hours(90 * DAY));
}

#[test]
fn a_clock_that_is_behind_ours_trusts_a_new_certificate_and_its_authority() {
    let names = names();
    let short = Lifetimes { leaf: SignedDuration::from_secs(60), ..Lifetimes::default() };
    for (lifetimes, behind) in [(Lifetimes::default(), 9 * 60), (short, 5)] {
        let made = Terms { lifetimes, ..terms(&names, 0) }.make("").unwrap();
        let now = start() - SignedDuration::from_secs(behind);
        assert!(serves(&made, now), "{behind} s behind");
        let (from, _) = validity(&parse(&first(&made.ca_bundle).unwrap()).unwrap()).unwrap();
        assert!(from <= now, "{behind} s behind: the authority is from {from} on");
    }
}

#[test]
fn a_leaf_is_renewed_after_two_thirds_of_its_lifetime() {
    let names = names();
    let made = terms(&names, 0).make("").unwrap();
    assert_eq!(terms(&names, 59 * DAY).renew(&made, true).unwrap(), None);
    let renewed = terms(&names, 61 * DAY).renew(&made, true).unwrap().unwrap();
    assert_eq!(renewed.ca_bundle, made.ca_bundle, "the authority stays");
    assert_ne!(renewed.key, made.key);
    assert_eq!(expiry(&renewed.chain).unwrap(), start() + SignedDuration::from_hours((61 + 90) * DAY));
}

#[test]
fn a_leaf_for_other_names_is_replaced() {
    let (names, other) = (names(), service_names("webhook", "elsewhere"));
    let made = terms(&names, 0).make("").unwrap();
    let renewed = terms(&other, 0).renew(&made, true).unwrap().unwrap();
    assert_eq!(renewed.ca_bundle, made.ca_bundle);
    assert_eq!(terms(&other, 0).renew(&renewed, true).unwrap(), None);
}

#[test]
fn an_authority_is_trusted_before_it_signs_and_after_it_is_replaced() {
    let names = names();
    let due = 244 * DAY;
    let old =
        terms(&names, due - 10 * DAY).renew(&terms(&names, 0).make("").unwrap(), true).unwrap().unwrap();
    assert_eq!(authorities(&old), 1);

    let both = terms(&names, due).renew(&old, true).unwrap().unwrap();
    assert_eq!((authorities(&both), &both.chain), (2, &old.chain), "published, not yet signing");
    assert_eq!(terms(&names, due).renew(&both, true).unwrap(), None, "waits for the overlap");

    assert_eq!(terms(&names, due + 1).renew(&both, false).unwrap(), None, "waits until clients know it");

    let moved = terms(&names, due + 1).renew(&both, true).unwrap().unwrap();
    assert_eq!((authorities(&moved), &moved.ca_key), (2, &both.ca_key));
    assert_ne!(moved.chain, both.chain);
    for (name, step) in [("old", &old), ("both", &both), ("moved", &moved)] {
        assert!(serves(step, start() + SignedDuration::from_hours(due + 1)), "{name}");
    }

    let later = terms(&names, 370 * DAY).renew(&moved, true).unwrap().unwrap();
    assert_eq!(authorities(&later), 1, "the first authority has expired");
}

#[test]
fn no_step_of_ten_years_leaves_the_server_without_a_trusted_certificate() {
    let names = names();
    let mut current = terms(&names, 0).make("").unwrap();
    let mut published = current.ca_bundle.clone();
    for hour in (0..3650 * DAY).step_by(24) {
        let now = terms(&names, hour);
        if let Some(next) = now.renew(&current, true).unwrap() {
            let seen = Material { ca_bundle: published.clone(), ..next.clone() };
            assert!(serves(&seen, now.now), "hour {hour}: clients still have the previous bundle");
            current = next;
        }
        assert!(serves(&current, now.now), "hour {hour}");
        assert!(authorities(&current) <= 2, "hour {hour}");
        published.clone_from(&current.ca_bundle);
    }
}

/// Lifetimes of seconds have the same steps, with the same share of time for each.
#[test]
fn short_lifetimes_never_leave_the_server_without_a_trusted_certificate() {
    let names = names();
    let seconds = SignedDuration::from_secs;
    let lifetimes = Lifetimes::new(seconds(40), seconds(16), seconds(4)).unwrap();
    let at = |second| Terms { names: &names, lifetimes, now: start() + seconds(second) };
    let mut current = at(0).make("").unwrap();
    let mut steps = Vec::new();
    for second in 1..200 {
        if let Some(next) = at(second).renew(&current, true).unwrap() {
            let seen = Material { ca_bundle: current.ca_bundle.clone(), ..next.clone() };
            assert!(serves(&seen, at(second).now), "second {second}: clients still have the previous bundle");
            let what = if next.chain == current.chain { "authority" } else { "leaf" };
            steps.push((second, what));
            current = next;
        }
        assert!(serves(&current, at(second).now), "second {second}");
    }
    assert_eq!(steps[..4], [(11, "leaf"), (22, "leaf"), (27, "authority"), (31, "leaf")]);
    assert!(steps.len() < 30, "each step is taken once: {steps:?}");
}

#[test]
fn changed_lifetimes_apply_with_an_overlap() {
    let names = names();
    let seconds = SignedDuration::from_secs;
    let short = Lifetimes::new(seconds(40), seconds(16), seconds(4)).unwrap();
    let mut current = terms(&names, 0).make("").unwrap();
    for second in (0..300).chain((300..3 * 3600).step_by(60)) {
        let lifetimes = if (60..120).contains(&second) { short } else { Lifetimes::default() };
        let now = Terms { names: &names, lifetimes, now: start() + seconds(second) };
        if let Some(next) = now.renew(&current, true).unwrap() {
            let seen = Material { ca_bundle: current.ca_bundle.clone(), ..next.clone() };
            assert!(serves(&seen, now.now), "second {second}: clients still have the previous bundle");
            current = next;
        }
        assert!(serves(&current, now.now), "second {second}");
        if second == 119 {
            assert!(expiry(&current.chain).unwrap() < now.now + seconds(17), "created with a short lifetime");
        }
    }
    assert!(expiry(&current.chain).unwrap() > start() + SignedDuration::from_hours(80 * DAY));
}

#[test]
fn lifetimes_that_are_too_short_to_renew_in_time_are_refused() {
    let seconds = SignedDuration::from_secs;
    let why = |authority, leaf, overlap| {
        Lifetimes::new(seconds(authority), seconds(leaf), seconds(overlap)).unwrap_err().to_string()
    };
    assert_eq!(
        why(3600, 9, 1),
        "certificates with lifetime 9s, an authority with lifetime 1h that is published 1s before it signs: the lifetime of certificates must be at least 10s"
    );
    assert!(why(59, 60, 1).ends_with("must not be shorter than the lifetime of certificates"));
    assert!(why(3600, 60, 0).ends_with("the overlap must be at least 1s"));
    assert!(why(3600, 60, 16).ends_with("at most a quarter of the lifetime of certificates"));
}

#[test]
fn an_unusable_leaf_is_replaced_immediately_under_the_same_authority() {
    let names = names();
    let made = terms(&names, 0).make("").unwrap();
    let other = terms(&names, 0).make("").unwrap();
    let broken = [
        ("none", 0, Material { chain: String::new(), ..made.clone() }),
        ("damaged", 0, Material { chain: made.chain.replace('M', "N"), ..made.clone() }),
        ("another's key", 0, Material { key: other.key.clone(), ..made.clone() }),
        ("an unknown certificate", 0, Material { chain: other.chain, key: other.key, ..made.clone() }),
        ("expired", 91 * DAY, made.clone()),
    ];
    for (what, hours, material) in broken {
        let renewed = terms(&names, hours).renew(&material, true).unwrap().expect(what);
        assert!(serves(&renewed, terms(&names, hours).now), "{what}");
        assert_eq!(renewed.ca_bundle, made.ca_bundle, "{what}: the bundle does not change");
    }
}

#[test]
fn an_unusable_authority_is_replaced_with_its_leaf_and_stays_trusted_while_valid() {
    let names = names();
    let made = terms(&names, 0).make("").unwrap();
    let other = terms(&names, 0).make("").unwrap();
    for (what, hours, material, authorities_left) in [
        ("another's key", 0, Material { ca_key: other.ca_key, ..made.clone() }, 2),
        ("damaged", 0, Material { ca_bundle: made.ca_bundle.replace('M', "N"), ..made.clone() }, 1),
        ("none", 0, Material { ca_bundle: String::new(), ..made.clone() }, 1),
        ("expired", 400 * DAY, made.clone(), 1),
    ] {
        let renewed = terms(&names, hours).renew(&material, true).unwrap().expect(what);
        assert!(serves(&renewed, terms(&names, hours).now), "{what}");
        assert_eq!(authorities(&renewed), authorities_left, "{what}");
    }
}

#[test]
fn a_provided_certificate_is_never_changed() {
    let names = names();
    let brought = Material { ca_key: None, ..terms(&names, 0).make("").unwrap() };
    assert_eq!(terms(&names, 4000 * DAY).renew(&brought, true).unwrap(), None);
}

#[test]
fn debug_output_has_no_key() {
    let made = terms(&names(), 0).make("").unwrap();
    assert!(!format!("{made:?}").contains("PRIVATE"));
}
