//! What somebody should know of an order or a wallet that is made all the same.

/// Something the trader should know about an order that is nevertheless fine.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[schema(as = OrderWarning)]
pub struct Warning {
    /// Stable, for programs.
    #[schema(value_type = String, example = "size-cut")]
    pub code: &'static str,
    /// For people.
    pub text: String,
}
