//! Size and SHA-256 of what passes by.

use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::Remote;
use crate::{Error, Result};

/// Bytes that are moved at once.
const PIECE: usize = 1 << 17;

/// Counts and hashes what it is shown.
#[derive(Debug, Clone, Default)]
pub struct Digest {
    bytes: u64,
    hash: Sha256,
}

impl Digest {
    /// Of all these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut digest = Self::default();
        digest.update(bytes);
        digest
    }

    /// Takes the next bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.hash.update(bytes);
    }

    /// Bytes taken in.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The SHA-256 of all of them, in hexadecimal.
    pub fn hex(&self) -> String {
        self.hash.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether this is the file that `remote` means; `shown` names it in the message.
    ///
    /// # Errors
    /// [`Error::Data`] with what was found and what was expected.
    pub fn check(&self, remote: &Remote, shown: &str) -> Result<()> {
        let name = remote.file_name();
        if let Some(expected) = remote.bytes.filter(|&expected| expected != self.bytes) {
            let found = self.bytes;
            return Err(Error::Data(format!("{shown}: is not {name}: {found} bytes, expected {expected}")));
        }
        let hex = self.hex();
        if !hex.starts_with(&*remote.sha256) {
            let begins = if remote.sha256.len() == 64 { "expected" } else { "expected one that begins with" };
            return Err(Error::Data(format!(
                "{shown}: is not {name}: its SHA-256 is {hex}, {begins} {}",
                remote.sha256
            )));
        }
        Ok(())
    }

    /// Of a whole file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn of_file(path: &Path) -> Result<Self> {
        let failed = |error| Error::io(path, error);
        let mut file = std::fs::File::open(path).map_err(failed)?;
        let mut digest = Self::default();
        copy(&mut file, &mut io::sink(), &mut digest, |_| Ok(())).map_err(failed)??;
        Ok(digest)
    }
}

/// Moves everything from `input` to `output` through `digest`; `each` is told the bytes so far and may stop it.
pub(super) fn copy(
    input: &mut impl Read,
    output: &mut impl Write,
    digest: &mut Digest,
    mut each: impl FnMut(u64) -> Result<()>,
) -> io::Result<Result<()>> {
    let mut piece = vec![0; PIECE];
    loop {
        let count = match input.read(&mut piece) {
            Ok(0) => return Ok(Ok(())),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        output.write_all(&piece[..count])?;
        digest.update(&piece[..count]);
        if let Err(stopped) = each(digest.bytes()) {
            return Ok(Err(stopped));
        }
    }
}
