use super::{profile::Profile, *};

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

#[test]
fn a_bad_profile_is_named_field_by_field() {
    let text = "rules: {first-wieght: {max: 10}, freeze: {windows: [{name: x, cron: soon, duration: 9h}, {name: last, from: 2026-01-02, to: 2026-01-01, timeZone: Mars/Base}]}}\nexemptions: {serviceAccounts: [ci]}";
    let findings = Profile::read(&yaml(text), "data.profile").unwrap_err();
    let problems: Vec<_> = findings.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(problems.join("\n"), @r#"
    data.profile.rules.freeze.windows[0].cron: "soon": must be five fields (minute hour day-of-month month day-of-week) of numbers, names, lists, ranges and steps, such as "0 18 * * fri"
    data.profile.rules.freeze.windows[1].timeZone: "Mars/Base": must be a time zone such as Europe/Berlin
    data.profile.rules.freeze.windows[1]: from must be before to
    data.profile.rules.first-wieght: unknown field, did you mean "first-weight"?
    data.profile.exemptions.serviceAccounts[0]: "ci": must be NAMESPACE:NAME, or NAMESPACE:* for all of a namespace
    "#);
}

#[test]
fn people_are_known_by_name_group_and_account() {
    let people = profile::People {
        users: vec!["jane".into()],
        groups: vec!["ops".into()],
        service_accounts: vec!["ci:deployer".into(), "gitops:*".into()],
    };
    let is_in = |username: &str, groups: &[&str]| {
        let groups = groups.iter().map(ToString::to_string).collect();
        people.include(&User { username: username.into(), groups, ..User::default() })
    };
    assert!(is_in("jane", &[]) && is_in("joe", &["ops"]));
    assert!(
        is_in("system:serviceaccount:ci:deployer", &[]) && is_in("system:serviceaccount:gitops:any", &[])
    );
    assert!(
        !is_in("joe", &["dev"])
            && !is_in("system:serviceaccount:ci:other", &[])
            && !is_in("ci:deployer", &[])
    );
}

#[test]
fn labels_bind_profiles_by_mode() {
    let labels = Labels::from([
        ("haldane.dev/audit".to_owned(), "restricted".to_owned()),
        ("haldane.dev/enforce".to_owned(), "baseline".to_owned()),
    ]);
    assert_eq!(bound(&labels), [(Mode::Enforce, "baseline"), (Mode::Audit, "restricted")]);
}
