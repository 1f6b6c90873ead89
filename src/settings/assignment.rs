//! A value for a setting, and where it was written.

use super::error::{SettingsError, brief};
use super::kind::Written;
use super::options::Options;
use super::setting::Setting;

/// One setting as one of the sources has it.
pub(super) struct Assignment<'t> {
    /// The setting.
    pub(super) setting: &'t Setting,
    /// Its value.
    pub(super) written: Written,
    /// Where and how it was written, as people find it again.
    pub(super) quote: String,
}

impl Assignment<'_> {
    /// Puts the value where it belongs.
    ///
    /// # Errors
    ///
    /// It is none for this setting.
    pub(super) fn apply(&self, options: &mut Options) -> Result<(), SettingsError> {
        if self.setting.set(options, &self.written) {
            return Ok(());
        }
        Err(SettingsError::Value {
            quote: brief(&self.quote),
            expected: self.setting.expected.clone(),
        })
    }
}
