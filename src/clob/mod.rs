//! Polymarket's CLOB.
