//! A PKCS#11 module that stands in front of a real one and fails on command: `README.md` says how.
//!
//! The only `unsafe` code of the repository. It trusts its caller to be the service under test, and
//! ends the process where it is told something that it does not understand.
#![allow(
    non_snake_case,
    clippy::similar_names,
    reason = "functions and arguments have the names of the standard"
)]

use std::os::raw::c_void;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use cryptoki_sys::{
    CK_ATTRIBUTE, CK_BBOOL, CK_BYTE, CK_FLAGS, CK_FUNCTION_LIST, CK_FUNCTION_LIST_PTR_PTR,
    CK_MECHANISM, CK_MECHANISM_TYPE, CK_NOTIFY, CK_OBJECT_HANDLE, CK_RV, CK_SESSION_HANDLE,
    CK_SESSION_INFO, CK_SLOT_ID, CK_TOKEN_INFO, CK_ULONG, CK_UNAVAILABLE_INFORMATION, CK_USER_TYPE,
    CK_UTF8CHAR, CKA_EC_POINT, CKR_BUFFER_TOO_SMALL, CKR_OK, CKR_SESSION_COUNT,
};

use rules::{Action, strike};

mod rules;
mod signatures;

/// The real module. It is never unloaded: its code runs until the process ends.
struct Real {
    _library: cryptoki_sys::Pkcs11,
    list: CK_FUNCTION_LIST,
}

static REAL: OnceLock<Real> = OnceLock::new();
static OURS: OnceLock<CK_FUNCTION_LIST> = OnceLock::new();
/// Sessions that are open, for `limit`.
static SESSIONS: AtomicU64 = AtomicU64::new(0);

pub(crate) fn real() -> &'static CK_FUNCTION_LIST {
    &REAL.get().expect("C_GetFunctionList came first").list
}

/// Calls the real module's function.
macro_rules! call {
    ($name:ident($($argument:expr),*)) => {
        // SAFETY: the arguments are the caller's, handed on as they are.
        unsafe { ($crate::real().$name.expect("the real module has it"))($($argument),*) }
    };
}
pub(crate) use call;

/// Says what a module says of itself.
///
/// # Safety
/// `list` is where a pointer may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetFunctionList(list: CK_FUNCTION_LIST_PTR_PTR) -> CK_RV {
    let ours = OURS.get_or_init(|| {
        let theirs = REAL.get_or_init(load).list;
        let mut ours = theirs;
        ours.C_GetFunctionList = Some(C_GetFunctionList);
        stand_in_front(&mut ours);
        ours
    });
    // SAFETY: what the caller promises. Nobody writes through the pointer.
    unsafe { *list = std::ptr::from_ref(ours).cast_mut() };
    CKR_OK
}

fn load() -> Real {
    let path = std::env::var_os("PKCS11_FAULTS_MODULE").expect("PKCS11_FAULTS_MODULE is set");
    let mut list = std::ptr::null_mut();
    // SAFETY: a PKCS#11 module, by whose word this is its list; it stays loaded.
    unsafe {
        let library = cryptoki_sys::Pkcs11::new(path).expect("the real module loads");
        assert_eq!(library.C_GetFunctionList(&raw mut list), CKR_OK);
        Real {
            list: *list,
            _library: library,
        }
    }
}

/// Functions that fail or wait by the rules, and else are handed on.
macro_rules! plain {
    ($($name:ident($($argument:ident: $type:ty),*);)*) => {
        $(unsafe extern "C" fn $name($($argument: $type),*) -> CK_RV {
            match strike(stringify!($name)) {
                Some(Action::Code(code)) => code,
                Some(Action::After(code)) => {
                    call!($name($($argument),*));
                    code
                }
                _ => call!($name($($argument),*)),
            }
        })*

        fn stand_in_front(list: &mut CK_FUNCTION_LIST) {
            $(list.$name = Some($name);)*
            list.C_Finalize = Some(C_Finalize);
            list.C_GetTokenInfo = Some(C_GetTokenInfo);
            list.C_OpenSession = Some(C_OpenSession);
            list.C_CloseSession = Some(C_CloseSession);
            list.C_GetAttributeValue = Some(C_GetAttributeValue);
            list.C_SignInit = Some(signatures::C_SignInit);
            list.C_Sign = Some(signatures::C_Sign);
        }
    };
}

plain! {
    C_Initialize(arguments: *mut c_void);
    C_GetSlotList(present: CK_BBOOL, slots: *mut CK_SLOT_ID, count: *mut CK_ULONG);
    C_GetMechanismList(slot: CK_SLOT_ID, list: *mut CK_MECHANISM_TYPE, count: *mut CK_ULONG);
    C_GetSessionInfo(session: CK_SESSION_HANDLE, info: *mut CK_SESSION_INFO);
    C_Login(session: CK_SESSION_HANDLE, user: CK_USER_TYPE, pin: *mut CK_UTF8CHAR, length: CK_ULONG);
    C_CreateObject(session: CK_SESSION_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG, object: *mut CK_OBJECT_HANDLE);
    C_DestroyObject(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE);
    C_FindObjectsInit(session: CK_SESSION_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG);
    C_FindObjects(session: CK_SESSION_HANDLE, objects: *mut CK_OBJECT_HANDLE, most: CK_ULONG, count: *mut CK_ULONG);
    C_EncryptInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE);
    C_Encrypt(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, length: CK_ULONG, out: *mut CK_BYTE, out_length: *mut CK_ULONG);
    C_DecryptInit(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE);
    C_Decrypt(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, length: CK_ULONG, out: *mut CK_BYTE, out_length: *mut CK_ULONG);
    C_GenerateKey(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, template: *mut CK_ATTRIBUTE, count: CK_ULONG, key: *mut CK_OBJECT_HANDLE);
    C_GenerateKeyPair(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, public: *mut CK_ATTRIBUTE, public_count: CK_ULONG, private: *mut CK_ATTRIBUTE, private_count: CK_ULONG, public_key: *mut CK_OBJECT_HANDLE, private_key: *mut CK_OBJECT_HANDLE);
    C_UnwrapKey(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, by: CK_OBJECT_HANDLE, wrapped: *mut CK_BYTE, length: CK_ULONG, template: *mut CK_ATTRIBUTE, count: CK_ULONG, key: *mut CK_OBJECT_HANDLE);
}

unsafe extern "C" fn C_Finalize(reserved: *mut c_void) -> CK_RV {
    if let Some(Action::Code(code)) = strike("C_Finalize") {
        return code;
    }
    SESSIONS.store(0, Ordering::SeqCst);
    call!(C_Finalize(reserved))
}

unsafe extern "C" fn C_OpenSession(
    slot: CK_SLOT_ID,
    flags: CK_FLAGS,
    application: *mut c_void,
    notify: CK_NOTIFY,
    session: *mut CK_SESSION_HANDLE,
) -> CK_RV {
    match strike("C_OpenSession") {
        Some(Action::Code(code)) => return code,
        Some(Action::Limit(most)) if SESSIONS.load(Ordering::SeqCst) >= most => {
            return CKR_SESSION_COUNT;
        }
        _ => {}
    }
    let answer = call!(C_OpenSession(slot, flags, application, notify, session));
    if answer == CKR_OK {
        SESSIONS.fetch_add(1, Ordering::SeqCst);
    }
    answer
}

unsafe extern "C" fn C_CloseSession(session: CK_SESSION_HANDLE) -> CK_RV {
    if let Some(Action::Code(code)) = strike("C_CloseSession") {
        return code;
    }
    let answer = call!(C_CloseSession(session));
    if answer == CKR_OK {
        SESSIONS.fetch_sub(1, Ordering::SeqCst);
    }
    answer
}

unsafe extern "C" fn C_GetTokenInfo(slot: CK_SLOT_ID, info: *mut CK_TOKEN_INFO) -> CK_RV {
    let action = strike("C_GetTokenInfo");
    if let Some(Action::Code(code)) = action {
        return code;
    }
    let answer = call!(C_GetTokenInfo(slot, info));
    if answer == CKR_OK {
        // SAFETY: the real module just wrote it.
        let info = unsafe { &mut *info };
        match action {
            Some(Action::Flags(flags)) => info.flags |= flags,
            Some(Action::MaxSessions(most)) => {
                info.ulMaxSessionCount = most;
                info.ulMaxRwSessionCount = most;
            }
            _ => {}
        }
    }
    answer
}

unsafe extern "C" fn C_GetAttributeValue(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> CK_RV {
    let action = strike("C_GetAttributeValue");
    if let Some(Action::Code(code)) = action {
        return code;
    }
    let mut answer = call!(C_GetAttributeValue(session, object, template, count));
    let (wanted, value) = match &action {
        Some(Action::Attribute(wanted, value)) => (*wanted, Some(value)),
        Some(Action::BarePoint) => (CKA_EC_POINT, None),
        _ => return answer,
    };
    let count = usize::try_from(count).expect("a template fits into memory");
    // SAFETY: a template with this many attributes, as the caller promised the real module.
    let attributes = unsafe { std::slice::from_raw_parts_mut(template, count) };
    for attribute in attributes.iter_mut().filter(|it| it.type_ == wanted) {
        let value = match value {
            Some(value) => value.clone(),
            None => match point(session, object) {
                Some(point) => point,
                None => continue,
            },
        };
        if !say(attribute, &value) {
            answer = CKR_BUFFER_TOO_SMALL;
        } else if count == 1 && answer == CKR_BUFFER_TOO_SMALL {
            answer = CKR_OK; // there was no room for the real value, and there is for this one
        }
    }
    answer
}

/// The EC point of an object without the two bytes in front of it.
fn point(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE) -> Option<Vec<u8>> {
    let mut value = [0_u8; 67];
    let mut asked = CK_ATTRIBUTE {
        type_: CKA_EC_POINT,
        pValue: value.as_mut_ptr().cast(),
        ulValueLen: 67,
    };
    let answer = call!(C_GetAttributeValue(session, object, &raw mut asked, 1));
    let whole = answer == CKR_OK && asked.ulValueLen == 67 && value[..2] == [0x04, 0x41];
    whole.then(|| value[2..].to_vec())
}

/// Writes a value into a caller's attribute; `false` where there is no room.
fn say(attribute: &mut CK_ATTRIBUTE, value: &[u8]) -> bool {
    let length = value.len() as CK_ULONG;
    let fits = attribute.ulValueLen == CK_UNAVAILABLE_INFORMATION || attribute.ulValueLen >= length;
    if !attribute.pValue.is_null() {
        if !fits {
            attribute.ulValueLen = CK_UNAVAILABLE_INFORMATION;
            return false;
        }
        // SAFETY: the caller has room for at least as much as it says, or as the real value took.
        unsafe {
            std::ptr::copy_nonoverlapping(value.as_ptr(), attribute.pValue.cast(), value.len());
        }
    }
    attribute.ulValueLen = length;
    true
}
