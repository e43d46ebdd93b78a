//! What a statement asks about itself.

use crate::{Datum, Kernel};

pub(crate) const NOW: Kernel = Kernel::scalar(|_, cx| Ok(Datum::TimestampTz(cx.transaction_time)));
pub(crate) const STATEMENT_TIMESTAMP: Kernel =
    Kernel::scalar(|_, cx| Ok(Datum::TimestampTz(cx.statement_time)));
pub(crate) const CURRENT_DATABASE: Kernel =
    Kernel::scalar(|_, cx| Ok(Datum::Text(cx.database.clone())));
pub(crate) const PGSQL_VERSION: Kernel =
    Kernel::scalar(|_, cx| Ok(Datum::Text(cx.server_version.clone())));
