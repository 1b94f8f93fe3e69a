//! An order: built from a request and a wallet, hashed as the exchange will hash it.

use ruint::aliases::U256;
use serde_json::{Value, json};

use super::amount::{Amounts, Decimal, Side};
use super::contents::{Contents, Extra};
use super::contracts::{Exchange, Format, Layout, Version};
use super::fees::TakerFees;
use super::request::{FormatFields, MarketOrderRequest, OrderRequest, OrderType, Owner, TokenId};
use super::terms::Terms;
use super::wallet::{Profile, SignatureType};
use super::warning::Warning;
use super::{OrderError, expiration, nested};
use crate::ethereum::eip712::{self, Bytes32};

/// 2⁵³ − 1: the largest integer that survives a JSON reader that uses doubles.
pub(super) const LARGEST_SALT: u64 = (1 << 53) - 1;

/// What a market order to BUY is for at least, in base units: a dollar.
const LEAST_CASH: u64 = 1_000_000;

/// A salt for one order, uniform within 1 and 2⁵³ − 1, from the system's randomness.
pub fn random_salt() -> Result<u64, getrandom::Error> {
    loop {
        let salt = getrandom::u64()? & LARGEST_SALT;
        if salt != 0 {
            return Ok(salt);
        }
    }
}

/// A complete order that only wants its signature.
#[derive(Debug, Clone)]
pub struct Order {
    pub(super) format: &'static Format,
    pub(super) exchange: &'static Exchange,
    pub(super) profile: Profile,
    pub(super) contents: Contents,
    pub(super) envelope: Envelope,
    pub(super) limit: Option<Limit>,
    pub(super) warnings: Vec<Warning>,
    struct_hash: [u8; 32],
    /// The EIP-712 hash of the order.
    hash: [u8; 32],
    /// What the key signs.
    digest: [u8; 32],
}

/// The most or least cash per share that an order was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Cash per share.
    pub price: Decimal,
    /// Who named it.
    pub from: PriceFrom,
}

/// Who named a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PriceFrom {
    /// The trader.
    Request,
    /// The CLOB's book.
    Book,
}

/// What travels with an order unsigned.
#[derive(Debug, Clone)]
pub(super) struct Envelope {
    pub(super) order_type: OrderType,
    /// Unix seconds; 0 is never. Version 1 signs it too.
    pub(super) expiration: u64,
    pub(super) post_only: bool,
    pub(super) defer_exec: bool,
    pub(super) owner: Option<Owner>,
}

impl Order {
    /// Builds a limit order on these terms. `salt` is within 1 and 2⁵³ − 1; `timestamp_ms` (unix
    /// milliseconds) is what versions 2 and 3 sign; `now_s` (unix seconds) is what an expiration is
    /// compared to.
    pub fn build(
        request: &OrderRequest,
        terms: &Terms,
        profile: &Profile,
        salt: u64,
        timestamp_ms: i64,
        now_s: i64,
    ) -> Result<Self, OrderError> {
        sensible("size", request.size)?;
        let amounts = Amounts::of_limit(request.price, request.size, terms.tick_size)?;
        let mut warnings = warnings(request.token_id, terms);
        if let Some(used) = amounts.cut_to {
            let given = request.size;
            warnings.push(Warning {
                code: "size-cut",
                text: format!("size {given} was cut to {used}: sizes have two decimals"),
            });
        }
        let (envelope, soon) = Envelope::of(request, now_s)?;
        warnings.extend(soon);
        if request.order_type.rests() {
            warnings.extend(too_small(&amounts, terms));
        }
        let wanted = Blueprint {
            token_id: request.token_id,
            side: request.side,
            amounts,
            envelope,
            fields: request.format_fields(),
            from: PriceFrom::Request,
            warnings,
        };
        wanted.build(terms, profile, salt, timestamp_ms)
    }

    /// Builds a market order on these terms, the other arguments as for [`build`](Self::build). Its
    /// limit is the one in the request or the one that the book gave for it; `fees` are what leaves less
    /// of `maxSpend`.
    pub fn build_market(
        request: &MarketOrderRequest,
        limit: Limit,
        fees: TakerFees,
        terms: &Terms,
        profile: &Profile,
        salt: u64,
        timestamp_ms: i64,
    ) -> Result<Self, OrderError> {
        sensible("amount", request.amount)?;
        let amount = affordable(request, limit.price, fees, terms)?;
        let amounts = Amounts::of_market(request.side, limit.price, amount, terms.tick_size)?;
        let mut warnings = warnings(request.token_id, terms);
        if let (true, Some(most)) = (amount != request.amount, request.max_spend) {
            let (given, used) = (request.amount, amounts.cut_to.unwrap_or(amount));
            warnings.push(Warning {
                code: "amount-cut-for-fees",
                text: format!(
                    "amount {given} was cut to {used}, so that it costs no more than {most} with its fees"
                ),
            });
        } else if let Some(used) = amounts.cut_to {
            let given = request.amount;
            warnings.push(Warning {
                code: "amount-cut",
                text: format!("amount {given} was cut to {used}: amounts have two decimals"),
            });
        }
        if request.side == Side::Buy && amounts.cash < U256::from(LEAST_CASH) {
            warnings.push(Warning {
                code: "amount-below-minimum",
                text: "the CLOB takes no market order to BUY for less than 1 dollar".to_owned(),
            });
        }
        if amounts.price != limit.price {
            let (given, used, tick) = (limit.price, amounts.price, terms.tick_size);
            warnings.push(Warning {
                code: "price-rounded",
                text: format!("price {given} was rounded down to {used}, a multiple of {tick}"),
            });
        }
        let wanted = Blueprint {
            token_id: request.token_id,
            side: request.side,
            amounts,
            envelope: Envelope {
                order_type: request.order_type.into(),
                expiration: 0,
                post_only: false,
                defer_exec: request.defer_exec,
                owner: request.owner.clone(),
            },
            fields: request.format_fields(),
            from: limit.from,
            warnings,
        };
        wanted.build(terms, profile, salt, timestamp_ms)
    }

    /// The order with exactly these contents for this exchange, whose layout they have.
    pub(super) fn of(
        profile: &Profile,
        exchange: &'static Exchange,
        contents: Contents,
        envelope: Envelope,
    ) -> Self {
        let format = exchange.version.format();
        let struct_hash = contents.struct_hash(format);
        let hash = eip712::digest(&exchange.separator, &struct_hash);
        let digest = match contents.signature_type {
            SignatureType::Poly1271 => eip712::digest(
                &exchange.separator,
                &nested::typed_data_sign(
                    format,
                    &struct_hash,
                    exchange.domain.chain_id,
                    contents.signer,
                ),
            ),
            SignatureType::Eoa | SignatureType::PolyProxy | SignatureType::PolyGnosisSafe => hash,
        };
        Self {
            format,
            exchange,
            profile: *profile,
            contents,
            envelope,
            limit: None,
            warnings: Vec::new(),
            struct_hash,
            hash,
            digest,
        }
    }

    /// The order format used.
    pub fn version(&self) -> Version {
        self.format.version
    }

    /// The signed fields.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// The exchange it is for.
    pub fn exchange(&self) -> &'static Exchange {
        self.exchange
    }

    /// How long it stays.
    pub fn order_type(&self) -> OrderType {
        self.envelope.order_type
    }

    /// Whether it is to rest or not to be at all. Nothing signs that.
    pub fn is_post_only(&self) -> bool {
        self.envelope.post_only
    }

    /// When it ends, in unix seconds. Only version 1 signs it: elsewhere the poster can change it.
    pub fn expiration(&self) -> Option<u64> {
        Some(self.envelope.expiration).filter(|seconds| *seconds != 0)
    }

    /// What the trader should know.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The limit, where the order was made here.
    pub fn limit(&self) -> Option<Limit> {
        self.limit
    }

    /// The cash that changes hands if all of it fills, in base units of 10⁻⁶.
    pub fn cash(&self) -> U256 {
        match self.contents.side {
            Side::Buy => self.contents.maker_amount,
            Side::Sell => self.contents.taker_amount,
        }
    }

    /// The shares that change hands if all of it fills, in base units of 10⁻⁶.
    pub fn shares(&self) -> U256 {
        match self.contents.side {
            Side::Buy => self.contents.taker_amount,
            Side::Sell => self.contents.maker_amount,
        }
    }

    /// What the key signs. Differs from the order hash for type 3.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The EIP-712 hash of the order, by which the venue knows it.
    pub fn order_hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// The exchange's domain separator.
    pub fn domain_separator(&self) -> &[u8; 32] {
        &self.exchange.separator
    }

    /// `hashStruct` of the contents.
    pub fn struct_hash(&self) -> &[u8; 32] {
        &self.struct_hash
    }

    /// What the audit log keeps: the domain, every signed field (integers as decimal text but for
    /// `side`, 0 BUY, 1 SELL, and `signatureType`), the order hash where it is not the digest; and the
    /// limit.
    pub fn record(&self) -> Value {
        let mut record = json!({
            "domain": {
                "name": self.exchange.domain.name,
                "version": self.exchange.domain.version,
                "chainId": self.exchange.domain.chain_id,
                "verifyingContract": self.exchange.domain.verifying_contract,
            },
            "struct": self.contents.members(),
        });
        if self.hash != self.digest {
            record["orderHash"] = json!(Bytes32(self.hash));
        }
        if let Some(limit) = &self.limit {
            record["price"] = json!(limit.price.to_string());
            record["priceFrom"] = json!(limit.from);
        }
        record
    }
}

impl Envelope {
    /// The envelope of a limit order, with a warning where it ends soon.
    fn of(request: &OrderRequest, now_s: i64) -> Result<(Self, Option<Warning>), OrderError> {
        let order_type = request.order_type;
        let mut soon = None;
        let expiration = match (order_type, request.expiration) {
            (OrderType::Gtd, None) => return Err(OrderError::ExpirationMissing),
            (OrderType::Gtd, Some(expiration)) => {
                soon = expiration::check(expiration, now_s)?.map(|text| Warning {
                    code: "expiration-soon",
                    text,
                });
                expiration
            }
            (_, Some(_)) => return Err(OrderError::ExpirationUnexpected(order_type)),
            (_, None) => 0,
        };
        if request.post_only && !order_type.rests() {
            return Err(OrderError::PostOnlyNeverRests(order_type));
        }
        let envelope = Self {
            order_type,
            expiration,
            post_only: request.post_only,
            defer_exec: request.defer_exec,
            owner: request.owner.clone(),
        };
        Ok((envelope, soon))
    }
}

/// An order before it has its exchange and its maker.
struct Blueprint {
    token_id: TokenId,
    side: Side,
    amounts: Amounts,
    envelope: Envelope,
    fields: FormatFields,
    from: PriceFrom,
    warnings: Vec<Warning>,
}

impl Blueprint {
    fn build(
        mut self,
        terms: &Terms,
        profile: &Profile,
        salt: u64,
        timestamp_ms: i64,
    ) -> Result<Order, OrderError> {
        if !(1..=LARGEST_SALT).contains(&salt) {
            return Err(OrderError::SaltOutOfRange(salt));
        }
        let format = terms.version.format();
        if format.layout == Layout::Expiring && profile.signature_type() == SignatureType::Poly1271
        {
            return Err(OrderError::DepositWalletInV1);
        }
        let contents = Contents {
            salt,
            maker: profile.maker(),
            signer: profile.order_signer(),
            token_id: self.token_id,
            maker_amount: self.amounts.maker(self.side),
            taker_amount: self.amounts.taker(self.side),
            side: self.side,
            signature_type: profile.signature_type(),
            extra: Extra::of(
                &self.fields,
                format,
                terms.fee_rate_bps,
                self.envelope.expiration,
                timestamp_ms,
            )?,
        };
        if !self.envelope.order_type.rests()
            && let Some(what) = self.amounts.too_fine_to_fill(self.side)
        {
            self.warnings.push(Warning {
                code: "amounts-too-fine",
                text: format!(
                    "{what}: the amounts are what the official clients sign, and the CLOB is known to refuse them in a {}",
                    self.envelope.order_type
                ),
            });
        }
        let exchange = terms.version.exchange(profile.chain(), terms.neg_risk);
        Ok(Order {
            limit: Some(Limit {
                price: self.amounts.price,
                from: self.from,
            }),
            warnings: self.warnings,
            ..Order::of(profile, exchange, contents, self.envelope)
        })
    }
}

/// Refuses what nobody means.
fn sensible(field: &'static str, given: Decimal) -> Result<(), OrderError> {
    if given.is_absurd() {
        return Err(OrderError::Absurd { field, given });
    }
    Ok(())
}

/// The amount of a market order, cut where it would cost more than may be spent with its fees.
fn affordable(
    request: &MarketOrderRequest,
    price: Decimal,
    fees: TakerFees,
    terms: &Terms,
) -> Result<Decimal, OrderError> {
    let amount = request.amount;
    match (request.side, request.max_spend) {
        (_, None) => Ok(amount),
        (Side::Sell, Some(_)) => Err(OrderError::SpendOfSale),
        (Side::Buy, Some(most)) => fees.affordable(amount, most, price, terms.tick_size),
    }
}

/// A warning where the venue lets no order this small rest.
fn too_small(amounts: &Amounts, terms: &Terms) -> Option<Warning> {
    let least = terms.least_size?;
    (amounts.shares < least.base_units()).then(|| Warning {
        code: "size-below-minimum",
        text: format!("the CLOB takes orders for {least} shares or more in this market"),
    })
}

fn warnings(token_id: TokenId, terms: &Terms) -> Vec<Warning> {
    let mut warnings = terms.warnings.clone();
    if terms.version == Version::V2 && token_id.looks_like_v3() {
        warnings.push(Warning {
            code: "token-id-looks-like-v3",
            text: "tokenID has the form of a version 3 position id, and version 2 was used: if the market is of protocol v2, ask for version 3".to_owned(),
        });
    }
    warnings
}

#[cfg(test)]
mod tests;
