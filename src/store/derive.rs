//! The outline of a run: as it was sealed, else derived from its exchanges.

use super::{RunReader, Store, StoreError, outline_file, run_dir::OUTLINE};
use crate::run::lanes::LaneBuilder;
use crate::run::{Outline, RunId};
use std::sync::Arc;

impl Store {
    /// The outline of a run, without its other files where it was sealed with one.
    ///
    /// # Errors
    /// When there is none and the files cannot be read.
    pub fn outline_of(&self, id: &RunId) -> Result<Arc<Outline>, StoreError> {
        match outline_file::read(&self.run_directory(id).join(OUTLINE)) {
            Ok(Some(outline)) => Ok(Arc::new(outline)),
            _ => self.open_run(id)?.outline(),
        }
    }
}

impl RunReader {
    /// Lanes, turns and steps: those kept at the seal, or derived anew for a run that was not sealed, or whose
    /// outline cannot be read. Exchanges that cannot be read are left out.
    ///
    /// # Errors
    /// When the files cannot be read at all.
    pub fn outline(&self) -> Result<Arc<Outline>, StoreError> {
        if let Ok(Some(outline)) = self.sealed_outline() {
            return Ok(Arc::new(outline));
        }
        Ok(Arc::new(self.derive_outline()))
    }

    /// The outline, derived from what can be read.
    pub fn derive_outline(&self) -> Outline {
        let mut builder = LaneBuilder::default();
        for id in self.ids() {
            if let Ok(exchange) = self.exchange(id) {
                builder.add(&exchange);
            }
        }
        builder.finish()
    }
}
