//! Signatures that are not what they should be.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use cryptoki_sys::{
    CK_ATTRIBUTE, CK_BYTE, CK_MECHANISM, CK_OBJECT_HANDLE, CK_RV, CK_SESSION_HANDLE, CK_ULONG,
    CKA_CLASS, CKA_KEY_TYPE, CKK_EC, CKM_ECDSA, CKO_PRIVATE_KEY, CKR_BUFFER_TOO_SMALL,
    CKR_FUNCTION_FAILED, CKR_OK,
};

use crate::call;
use crate::rules::{Action, next, nonsense, strike};

/// The order of secp256k1.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
    0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
];
/// So often is signed for a signature with a leading zero: it comes in one of 128.
const ENOUGH: usize = 20_000;
const OVERLONG: usize = 8;
/// More than any signature.
const ROOM: usize = 1024;

/// What sessions are signing with, and each key's last signature.
#[derive(Default)]
struct Known {
    signing: HashMap<CK_SESSION_HANDLE, CK_OBJECT_HANDLE>,
    last: HashMap<CK_OBJECT_HANDLE, Vec<u8>>,
}

static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);

fn known() -> MutexGuard<'static, Known> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) unsafe extern "C" fn C_SignInit(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> CK_RV {
    match strike("C_SignInit") {
        Some(Action::Code(code)) => return code,
        Some(Action::After(code)) => {
            call!(C_SignInit(session, mechanism, key));
            return code;
        }
        _ => {}
    }
    let answer = call!(C_SignInit(session, mechanism, key));
    if answer == CKR_OK {
        known().signing.insert(session, key);
    }
    answer
}

pub(crate) unsafe extern "C" fn C_Sign(
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    length: CK_ULONG,
    out: *mut CK_BYTE,
    out_length: *mut CK_ULONG,
) -> CK_RV {
    if out.is_null() {
        let answer = call!(C_Sign(session, data, length, out, out_length));
        if matches!(next("C_Sign"), Some(Action::Sign(how)) if how == "overlong") {
            // SAFETY: the real module just wrote it.
            unsafe { *out_length += OVERLONG as CK_ULONG };
        }
        return answer;
    }
    let how = match strike("C_Sign") {
        Some(Action::Code(code)) => return code,
        Some(Action::After(code)) => {
            call!(C_Sign(session, data, length, out, out_length));
            return code;
        }
        Some(Action::Sign(how)) => Some(how),
        _ => None,
    };
    let key = known().signing.get(&session).copied().unwrap_or_default();
    let asked = Asked {
        session,
        data,
        length,
    };
    let mut signature = match asked.sign() {
        Ok(signature) => signature,
        Err(code) => return code,
    };
    let last = known().last.insert(key, signature.clone());
    if let Some(how) = how {
        match asked.falsify(&how, key, last, signature) {
            Ok(falsified) => signature = falsified,
            Err(code) => return code,
        }
    }
    // SAFETY: the caller says how much room it has.
    unsafe {
        let room = *out_length;
        *out_length = signature.len() as CK_ULONG;
        if room < *out_length {
            return CKR_BUFFER_TOO_SMALL;
        }
        std::ptr::copy_nonoverlapping(signature.as_ptr(), out, signature.len());
    }
    CKR_OK
}

/// What is to be signed, in a session where that was begun.
struct Asked {
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    length: CK_ULONG,
}

impl Asked {
    fn sign(&self) -> Result<Vec<u8>, CK_RV> {
        let mut signature = vec![0; ROOM];
        let mut length = ROOM as CK_ULONG;
        let (data, out) = (self.data, signature.as_mut_ptr());
        let answer = call!(C_Sign(
            self.session,
            data,
            self.length,
            out,
            &raw mut length
        ));
        if answer != CKR_OK {
            return Err(answer);
        }
        signature.truncate(usize::try_from(length).expect("it fits"));
        Ok(signature)
    }

    /// Signs once more, with this key.
    fn again(&self, key: CK_OBJECT_HANDLE) -> Result<Vec<u8>, CK_RV> {
        let mut mechanism = CK_MECHANISM {
            mechanism: CKM_ECDSA,
            pParameter: std::ptr::null_mut(),
            ulParameterLen: 0,
        };
        match call!(C_SignInit(self.session, &raw mut mechanism, key)) {
            CKR_OK => self.sign(),
            code => Err(code),
        }
    }

    fn falsify(
        &self,
        how: &str,
        key: CK_OBJECT_HANDLE,
        last: Option<Vec<u8>>,
        mut signature: Vec<u8>,
    ) -> Result<Vec<u8>, CK_RV> {
        let half = signature.len() / 2;
        match how {
            "high" | "low" => {
                if (signature[half] >= 0x80) != (how == "high") {
                    let other = order_minus(&signature[half..]);
                    signature[half..].copy_from_slice(&other);
                }
            }
            "stripped" => {
                let mut tries = 0;
                while signature[0] != 0 && signature[half] != 0 {
                    tries += 1;
                    if tries > ENOUGH {
                        return Err(CKR_FUNCTION_FAILED);
                    }
                    signature = self.again(key)?;
                }
                let (r, s) = signature.split_at(half);
                signature = [without_zeros(r), without_zeros(s)].concat();
            }
            "zero-r" => signature[..half].fill(0),
            "zero-s" => signature[half..].fill(0),
            "truncated" => signature.truncate(signature.len() - OVERLONG),
            "overlong" => signature.extend([0; OVERLONG]),
            "flipped" => signature[half] ^= 1,
            "other-key" => signature = self.again(self.another(key)?)?,
            "earlier" => signature = last.ok_or(CKR_FUNCTION_FAILED)?,
            "earlier-r" => {
                let last = last.ok_or(CKR_FUNCTION_FAILED)?;
                signature[..half].copy_from_slice(&last[..half]);
            }
            _ => nonsense(how),
        }
        Ok(signature)
    }

    /// Another private key for ECDSA.
    fn another(&self, key: CK_OBJECT_HANDLE) -> Result<CK_OBJECT_HANDLE, CK_RV> {
        let (mut class, mut kind) = (CKO_PRIVATE_KEY, CKK_EC);
        let attribute = |type_, value: *mut CK_ULONG| CK_ATTRIBUTE {
            type_,
            pValue: value.cast(),
            ulValueLen: size_of::<CK_ULONG>() as CK_ULONG,
        };
        let mut template = [
            attribute(CKA_CLASS, &raw mut class),
            attribute(CKA_KEY_TYPE, &raw mut kind),
        ];
        let mut found = [0; 16];
        let mut count = 0;
        let begun = call!(C_FindObjectsInit(self.session, template.as_mut_ptr(), 2));
        if begun != CKR_OK {
            return Err(begun);
        }
        call!(C_FindObjects(
            self.session,
            found.as_mut_ptr(),
            16,
            &raw mut count
        ));
        call!(C_FindObjectsFinal(self.session));
        let count = usize::try_from(count).expect("it fits");
        let mut others = found[..count].iter().filter(|it| **it != key);
        others.next().copied().ok_or(CKR_FUNCTION_FAILED)
    }
}

fn without_zeros(half: &[u8]) -> &[u8] {
    let zeros = half.iter().take_while(|byte| **byte == 0).count();
    &half[zeros..]
}

/// The order minus this number.
fn order_minus(number: &[u8]) -> [u8; 32] {
    let mut difference = [0; 32];
    let mut borrow = false;
    for at in (0..32).rev() {
        let (byte, below) = ORDER[at].overflowing_sub(number[at]);
        let (byte, still_below) = byte.overflowing_sub(u8::from(borrow));
        difference[at] = byte;
        borrow = below || still_below;
    }
    difference
}
