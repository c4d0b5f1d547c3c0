//! Checkpoints of a run: weights, optimizer and state, saved so that at every moment one whole
//! checkpoint is there. The state holds the hashes of the other files, and what is read is checked against them.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::ModuleOptimizer;
use burn::store::{ModuleRecord, RecordError};
use burn::tensor::{Bytes, Tensor};
use sarb_labels::files::{sync_folder, write_atomically};
use sarb_labels::guard::guarded;

use crate::methods::Method;
use crate::model::Model;
use crate::ranks::{join_parts, split_parts};
use crate::run::{MODEL, Run, STATE, Saved, State, Which, remove_dir};
use crate::seal::{Hashes, damaged, json, read_json};
use crate::{Error, Result};

const OPTIMIZER: &str = "optimizer.bpk";
/// What a method keeps beside its weights.
const METHOD: &str = "method.bin";

/// Saves weights, optimizer and state under a new name, then puts it in the place of the old one. Only the
/// last checkpoint holds what it takes to continue.
///
/// # Errors
/// If a file cannot be written.
pub fn save(
    run: &Run,
    which: Which,
    model: &Model,
    optimizer: &ModuleOptimizer,
    state: &State,
) -> Result<()> {
    let folder = |suffix: &str| run.path(&format!("checkpoints/{}{suffix}", which.name()));
    let (new, old, now) = (folder(".new"), folder(".old"), folder(""));
    remove_dir(&new)?;
    std::fs::create_dir_all(&new).map_err(|e| Error::io(&new, e))?;
    let mut files = Hashes::default();
    let mut record = |file: &str, result: Result<(), RecordError>| {
        let path = new.join(file);
        result.map_err(|e| Error::io(&path, std::io::Error::other(e.to_string())))?;
        File::open(&path).and_then(|file| file.sync_all()).map_err(|e| Error::io(&path, e))?;
        files.note(&new, file)
    };
    record(MODEL, model.clone().save_file(new.join(MODEL)))?;
    if which == Which::Last {
        record(OPTIMIZER, optimizer.save(new.join(OPTIMIZER)))?;
        if let Some(state) = model.head.state() {
            write_atomically(&new.join(METHOD), |file| file.write_all(&state))?;
            files.note(&new, METHOD)?;
        }
    }
    let saved = json(&Saved { state: state.clone(), files });
    write_atomically(&new.join(STATE), |file| file.write_all(&saved))?;
    // At every moment one of `now` and `old` is whole; a kill between the renames leaves `old`.
    if now.is_dir() {
        remove_dir(&old)?;
        std::fs::rename(&now, &old).map_err(|e| Error::io(&now, e))?;
    }
    std::fs::rename(&new, &now).map_err(|e| Error::io(&now, e))?;
    sync_folder(&run.path("checkpoints")).map_err(|e| Error::io(&now, e))?;
    remove_dir(&old)
}

/// Loads the weights of a checkpoint into `model`, and says their hash; an earlier version wrote none.
///
/// # Errors
/// [`Error::Missing`] without a checkpoint, [`Error::Incompatible`] if it is damaged or of another network.
pub fn load_model(run: &Run, which: Which, model: Model) -> Result<(Model, Option<String>)> {
    let read = run.in_checkpoint(which, |folder| {
        let (path, saved) = (folder.join(MODEL), saved(folder)?);
        let bytes = std::fs::read(&path).map_err(|e| Error::io(&path, e))?;
        match saved.files.fit(MODEL, &bytes) {
            true => Ok((path, Bytes::from_bytes_vec(bytes), saved.files.get(MODEL).map(str::to_owned))),
            // Or the next checkpoint has come between the two files.
            false if saved.state != self::saved(folder)?.state => Err(run.no_checkpoint(which)),
            false => Err(damaged(&path)),
        }
    });
    let (path, bytes, hash) = read.map_err(|error| with_offer(run, which, error))?;
    let load = || model.try_load_record(ModuleRecord::from_bytes(bytes)?);
    let model = loaded(guarded(load)).map_err(|why| incompatible(&path, &why))?;
    Ok((model, hash))
}

fn saved(folder: &Path) -> Result<Saved> {
    read_json(&folder.join(STATE))
}

/// What a damaged checkpoint says, with the other one of the run if that is whole.
fn with_offer(run: &Run, which: Which, error: Error) -> Error {
    let Error::Incompatible(message) = error else { return error };
    let other = if which == Which::Best { Which::Last } else { Which::Best };
    let whole = run.in_checkpoint(other, |folder| {
        let saved = saved(folder)?;
        saved.files.check(folder, MODEL).map(|()| saved.state.epoch)
    });
    Error::Incompatible(match whole {
        Ok(epoch) => format!(
            "{message}; the checkpoint `{0}`, of {epoch} epochs, is whole: evaluate and predict take it by --checkpoint {0}",
            other.name()
        ),
        Err(_) => message,
    })
}

/// The bytes of a record. Burn reads a record's file when its tensors are used, and a training that goes on, this
/// one or another, has put the next checkpoint in its place by then.
///
/// # Errors
/// If the file cannot be read.
pub fn in_memory(path: &Path) -> Result<Bytes> {
    std::fs::read(path).map(Bytes::from_bytes_vec).map_err(|e| Error::io(path, e))
}

/// What training continues from: the newest checkpoint's weights and what the method keeps beside them, in
/// place of `model`'s; its optimizer, in place of `optimizer`; its state.
///
/// # Errors
/// Those of [`load_model`].
pub fn load_training(
    run: &Run,
    model: Model,
    optimizer: ModuleOptimizer,
) -> Result<(Model, ModuleOptimizer, State)> {
    let folder = run.checkpoint_dir(Which::Last)?;
    let (mut model, _) = load_model(run, Which::Last, model)?;
    let Saved { state, files } = saved(&folder)?;
    // A file that an earlier version wrote, or that no method has, has no hash.
    for file in [OPTIMIZER, METHOD] {
        files.check(&folder, file).map_err(|error| with_offer(run, Which::Last, error))?;
    }
    let path = folder.join(METHOD);
    match std::fs::read(&path) {
        Ok(state) => model.head.restore(&state).map_err(|error| incompatible(&path, &error.to_string()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(Error::io(&path, error)),
    }
    let path = folder.join(OPTIMIZER);
    let bytes = in_memory(&path)?;
    let optimizer =
        loaded(guarded(|| optimizer.from_bytes(bytes))).map_err(|why| incompatible(&path, &why))?;
    Ok((model, optimizer, state))
}

/// What another process continues from, as [`from_bytes`] takes it up there.
///
/// # Errors
/// [`Error::Incompatible`] if the network cannot be written.
pub fn to_bytes(model: &Model, optimizer: &ModuleOptimizer, state: &State) -> Result<Vec<u8>> {
    let failed = |error: RecordError| Error::Incompatible(format!("the network cannot be sent: {error}"));
    let parts = [
        model.valid().into_record().into_bytes().map_err(failed)?.to_vec(),
        optimizer.into_bytes().map_err(failed)?.to_vec(),
        model.head.state().unwrap_or_default(),
        json(state),
    ];
    Ok(join_parts(&parts))
}

/// What [`to_bytes`] gave of the same network, in place of `model`'s weights and of `optimizer`.
///
/// # Errors
/// [`Error::Incompatible`] if it is of another.
pub fn from_bytes(
    bytes: &[u8],
    model: Model,
    optimizer: ModuleOptimizer,
) -> Result<(Model, ModuleOptimizer, State)> {
    let failed = |why: &str| Error::Incompatible(format!("what rank 0 begins with does not fit: {why}"));
    let parts = split_parts(bytes).and_then(|parts| <[Vec<u8>; 4]>::try_from(parts).ok());
    let [weights, moments, method, state] = parts.ok_or_else(|| failed("it is something else"))?;
    let load = || model.try_load_record(ModuleRecord::from_bytes(Bytes::from_bytes_vec(weights))?);
    let mut model = loaded(guarded(load)).map_err(|why| failed(&why))?;
    let load = || optimizer.from_bytes(Bytes::from_bytes_vec(moments));
    let optimizer = loaded(guarded(load)).map_err(|why| failed(&why))?;
    if !method.is_empty() {
        model.head.restore(&method)?;
    }
    let state = serde_json::from_slice(&state).map_err(|error| failed(&error.to_string()))?;
    Ok((model, optimizer, state))
}

/// Of the weights and of what the method keeps beside them: equal where a training goes on equally.
pub fn fingerprint(model: &Model) -> blake3::Hash {
    struct Hashing(blake3::Hasher);
    impl ModuleVisitor for Hashing {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            self.0.update(parameter.val().into_data().as_bytes());
        }
    }
    let mut hashing = Hashing(blake3::Hasher::new());
    model.visit(&mut hashing);
    hashing.0.update(&model.head.state().unwrap_or_default());
    hashing.0.finalize()
}

/// A damaged record makes Burn panic in places; for a user it is a file that does not fit.
fn loaded<T, E: std::fmt::Display>(load: Option<Result<T, E>>) -> Result<T, String> {
    match load {
        Some(loaded) => loaded.map_err(|error| error.to_string()),
        None => Err("damaged, or of another network".into()),
    }
}

fn incompatible(path: &Path, why: &str) -> Error {
    Error::Incompatible(format!("{}: {why}", path.display()))
}
