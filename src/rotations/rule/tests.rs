use super::*;

#[test]
fn nothing_leads_out_of_an_end() {
    for (_, step, from, to) in edges() {
        if let Some(from) = from
            && !from.is_open()
        {
            assert_eq!(from, to, "{step}");
        }
    }
}

#[test]
fn every_open_state_has_a_way_out_that_people_are_told() {
    for kind in Kind::ALL {
        let of_kind: Vec<_> = edges().filter(|(of, ..)| *of == kind).collect();
        for (.., to) in of_kind.iter().filter(|(.., to)| to.is_open()) {
            let on = |(_, _, from, next): &Edge| *from == Some(*to) && next != to;
            assert!(of_kind.iter().any(on), "{kind:?} is stuck at {to}");
            let told = ways(kind, *to).any(|it| it.what.is_some());
            assert!(told, "{kind:?} at {to}");
        }
    }
}

#[test]
fn a_state_and_a_step_belong_to_one_part() {
    for kind in Kind::ALL {
        for state in State::ALL {
            let leads_here = edges().any(|it| it.0 == kind && it.3 == state && state.is_open());
            let of = parts(kind).iter().filter(|it| it.holds(state)).count();
            assert_eq!(of, usize::from(leads_here), "{kind:?} {state}");
        }
        for step in Step::ALL {
            let ends = [Step::Abandon, Step::RollBack].contains(&step);
            let taken = edges().any(|it| it.0 == kind && it.1 == step);
            let of = parts(kind).iter().filter(|it| it.has(step)).count();
            assert_eq!(of, usize::from(taken && !ends), "{kind:?} {step}");
        }
    }
}
