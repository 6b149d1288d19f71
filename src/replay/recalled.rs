//! What the provider of a recorded run kept between requests.

use crate::dialect::Dialect;
use crate::dialect::histories::{Histories, Link};
use crate::exchange::ExchangeId;
use crate::store::RunReader;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;

/// The conversations that requests of a run go on from.
#[derive(Debug, Default)]
pub struct Recalled {
    histories: Histories,
    before: HashMap<ExchangeId, Arc<Link>>,
}

impl Recalled {
    /// Reads the whole run. Exchanges that cannot be read are left out.
    pub fn of(reader: &RunReader) -> Recalled {
        let mut recalled = Recalled::default();
        for exchange in reader.ids().into_iter().filter_map(|id| reader.exchange(id).ok()) {
            if let Some(link) = recalled.histories.follow(&exchange) {
                recalled.before.insert(exchange.request.id, link);
            }
        }
        recalled
    }

    /// The (decoded) body of an exchange with what the provider kept for it put in; none where that is nothing.
    pub fn unfold(&self, id: ExchangeId, dialect: &dyn Dialect, body: &[u8]) -> Option<Bytes> {
        self.histories.unfold_after(dialect, body, self.before.get(&id).map(Arc::as_ref))
    }
}
