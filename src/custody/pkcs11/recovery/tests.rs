use cryptoki::context::Function;

use super::*;

#[test]
fn each_code_leads_to_its_rung() {
    let rung = |code| step(&Error::Pkcs11(code, Function::Sign));
    assert_eq!(rung(RvError::KeyHandleInvalid), Step::FindAgain);
    assert_eq!(rung(RvError::ObjectHandleInvalid), Step::FindAgain);
    assert_eq!(rung(RvError::OperationActive), Step::NewSession);
    assert_eq!(rung(RvError::VendorDefined(7)), Step::NewSession);
    assert_eq!(rung(RvError::UserNotLoggedIn), Step::Login);
    assert_eq!(rung(RvError::DeviceError), Step::Rebuild);
    assert_eq!(rung(RvError::GeneralError), Step::Rebuild);
    assert_eq!(rung(RvError::PinIncorrect), Step::PinRefused);
    assert_eq!(rung(RvError::PinLocked), Step::PinRefused);
    assert_eq!(rung(RvError::SessionCount), Step::GiveUp);
    assert_eq!(rung(RvError::MechanismInvalid), Step::Refuse);
    assert_eq!(step(&Error::InvalidValue), Step::Nonsense);
}

#[test]
fn one_looks_after_each_pause_and_the_pause_grows_until_there_is_work() {
    const PATIENCE: Duration = Duration::from_secs(2);
    let start = Instant::now();
    let mut breaker = Breaker::default();
    assert_eq!(breaker.admit(), Ok(()));
    assert_eq!(breaker.next_look(PATIENCE), None);
    breaker.trip(start, "gone".into());
    assert_eq!(breaker.admit(), Err("gone".into()));
    assert_eq!(breaker.look(start, PATIENCE), Look::Later);
    let due = start + FIRST_PAUSE;
    assert_eq!(breaker.next_look(PATIENCE), Some(due));
    assert_eq!(breaker.look(due, PATIENCE), Look::Now);
    assert_eq!(breaker.look(due, PATIENCE), Look::Later, "only one");
    assert!(breaker.admit().is_err(), "and no caller meanwhile");
    assert_eq!(breaker.look(due + PATIENCE, PATIENCE), Look::NowForAnother);

    breaker.answers();
    assert_eq!(breaker.admit(), Ok(()));
    breaker.trip(due, "gone".into());
    assert_eq!(breaker.next_look(PATIENCE), Some(due + FIRST_PAUSE * 2));
    for _ in 0..100 {
        breaker.trip(due, "gone".into());
    }
    assert_eq!(breaker.next_look(PATIENCE), Some(due + LONGEST_PAUSE));
    breaker.close();
    breaker.trip(due, "gone".into());
    assert_eq!(breaker.next_look(PATIENCE), Some(due + FIRST_PAUSE));
    breaker.close();
    breaker.trip_to_look(due, "a call hangs");
    assert_eq!(breaker.look(due, PATIENCE), Look::Now, "at once");
}
