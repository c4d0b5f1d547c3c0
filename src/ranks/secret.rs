//! The secret that ranks share: who does not know it cannot take part.

use std::path::Path;

use crate::{Error, Result};

/// The variable that holds it where no file does.
pub const VARIABLE: &str = "SARB_RANKS_SECRET";

/// Shorter ones can be guessed.
const SHORTEST: usize = 16;

/// A key made of the secret.
#[derive(Clone)]
pub struct Secret([u8; blake3::KEY_LEN]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret")
    }
}

impl Secret {
    /// Of a file, or of the variable [`VARIABLE`].
    ///
    /// # Errors
    /// [`Error::Usage`] if there is neither, or it is too short; [`Error::Missing`] if the file cannot be read.
    pub fn find(file: Option<&Path>) -> Result<Self> {
        let (text, from) = match (file, std::env::var(VARIABLE)) {
            (Some(file), _) => {
                let text = std::fs::read_to_string(file).map_err(|e| Error::io(file, e))?;
                (text, file.display().to_string())
            }
            (None, Ok(text)) => (text, VARIABLE.to_owned()),
            (None, Err(_)) => {
                return Err(Error::Usage(format!(
                    "--ranks env needs a secret that all ranks share, so that nobody else takes part: write one into a \
                     file that you alone can read, such as by `openssl rand -hex 32`, and pass --ranks-secret FILE or \
                     set {VARIABLE}"
                )));
            }
        };
        Self::of(&text).map_err(|why| Error::Usage(format!("{from}: {why}")))
    }

    /// Of a text; white space around it does not count.
    ///
    /// # Errors
    /// Why it is none.
    pub fn of(text: &str) -> Result<Self, String> {
        let text = text.trim();
        match text.len() < SHORTEST {
            true => Err(format!("the secret has {} bytes; expected at least {SHORTEST}", text.len())),
            false => Ok(Self(blake3::derive_key("sarb 2026 secret of ranks", text.as_bytes()))),
        }
    }

    /// One that nobody knows yet, as text.
    pub fn random() -> String {
        let bytes: [u8; blake3::KEY_LEN] = rand::random();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Proof that who says `message` knows the secret. Hashes are compared in constant time.
    pub(super) fn proof(&self, message: &[u8]) -> blake3::Hash {
        blake3::keyed_hash(&self.0, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_long_and_other_secrets_prove_nothing() {
        let (one, same) =
            (Secret::of("0123456789abcdef\n").unwrap(), Secret::of("0123456789abcdef").unwrap());
        assert_eq!(one.proof(b"hello"), same.proof(b"hello"));
        assert_ne!(one.proof(b"hello"), one.proof(b"hallo"));
        assert_ne!(one.proof(b"hello"), Secret::of("0123456789abcdeg").unwrap().proof(b"hello"));
        assert_eq!(Secret::of(" short ").unwrap_err(), "the secret has 5 bytes; expected at least 16");
        assert_ne!(Secret::random(), Secret::random());
        assert_eq!(format!("{one:?}"), "Secret", "it is in no log");
    }

    #[test]
    fn a_file_holds_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "0123456789abcdef0\n").unwrap();
        assert!(Secret::find(Some(file.path())).is_ok());
        std::fs::write(file.path(), "").unwrap();
        let error = Secret::find(Some(file.path())).unwrap_err();
        assert!(error.to_string().ends_with("the secret has 0 bytes; expected at least 16"), "{error}");
        assert_eq!(
            (error.exit_code(), Secret::find(Some(Path::new("/no/file"))).unwrap_err().exit_code()),
            (2, 4)
        );
    }
}
