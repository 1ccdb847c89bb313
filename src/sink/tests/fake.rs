//! A disk in memory that keeps what outlasts the power apart from what doesn't, records each call,
//! and fails where a test says so.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::super::Durability;
use super::super::directory::{Directory, Site};
use super::super::disk::{DiskFile, Folder, Identity};
use super::super::latest::Made;
use crate::error::Result;

type Names = BTreeMap<String, usize>;

/// Whether the n-th call, of this name, fails.
pub(super) type Fault = Arc<dyn Fn(usize, &str) -> Option<io::ErrorKind> + Send + Sync>;

#[derive(Clone)]
enum Node {
    Folder {
        names: Names,
        durable: Names,
    },
    File {
        bytes: Vec<u8>,
        /// The bytes that the next sync writes.
        dirty: BTreeSet<usize>,
        durable: Vec<u8>,
    },
}

/// What is on the disk, with the calls so far.
#[derive(Clone)]
pub(super) struct State {
    nodes: Vec<Node>,
    /// Folders that were deleted: nothing can be made in them.
    deleted: BTreeSet<usize>,
    pub(super) calls: Vec<String>,
    fault: Option<Fault>,
    /// Rows that `flush` has confirmed.
    pub(super) confirmed: u64,
    /// An open file has another number than its name, as on some file systems.
    pub(super) numbers_differ: bool,
    /// All folders have the same number, as one has that of another that was deleted.
    pub(super) numbers_repeat: bool,
    /// It has no hard links, and real files are moved to it.
    pub(super) moves: bool,
    /// The state after each call, where a test keeps them.
    pub(super) past: Option<Vec<State>>,
}

#[derive(Clone)]
pub(super) struct Disk(Arc<Mutex<State>>);

pub(super) struct FakeFolder {
    disk: Disk,
    node: usize,
}

pub(super) struct FakeFile {
    disk: Disk,
    node: usize,
    position: usize,
}

impl Disk {
    /// An empty disk. The first folder is `wandb`.
    pub(super) fn new() -> Self {
        let root = Node::Folder {
            names: Names::new(),
            durable: Names::new(),
        };
        Self(Arc::new(Mutex::new(State {
            nodes: vec![root],
            deleted: BTreeSet::new(),
            calls: Vec::new(),
            fault: None,
            confirmed: 0,
            numbers_differ: false,
            numbers_repeat: false,
            moves: false,
            past: None,
        })))
    }

    pub(super) fn failing(fault: Fault) -> Self {
        let disk = Self::new();
        disk.fail(fault);
        disk
    }

    pub(super) fn fail(&self, fault: Fault) {
        self.state().fault = Some(fault);
    }

    /// Keeps the state after each call.
    pub(super) fn remembering() -> Self {
        let disk = Self::new();
        disk.state().past = Some(Vec::new());
        disk
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(super) fn heal(&self) {
        self.state().fault = None;
    }

    pub(super) fn directory(&self, durability: Durability) -> Result<Directory<FakeFolder>> {
        let disk = self.clone();
        let site = Site {
            path: PathBuf::from("/no/such/wandb/offline-run-1-a"),
            name: "offline-run-1-a".into(),
            log: "run-a.wandb".into(),
            parent: Box::new(move || Ok(disk.folder(0))),
        };
        let lead = |path: &Path| {
            let _ = self.call("link latest-run", |_| Ok(()), nothing);
            Made::alone(path)
        };
        Directory::create_in(site, durability, lead).map(|(directory, _)| directory)
    }

    pub(super) fn folder(&self, node: usize) -> FakeFolder {
        FakeFolder {
            disk: self.clone(),
            node,
        }
    }

    /// Does one call: counts it, lets it fail where that is planned, and keeps what came of it.
    fn call<T>(
        &self,
        call: &str,
        what: impl FnOnce(&mut State) -> io::Result<T>,
        half: impl FnOnce(&mut State),
    ) -> io::Result<T> {
        let mut state = self.state();
        let number = state.calls.len();
        let kind = call.split(' ').next().unwrap();
        let fault = state.fault.clone().and_then(|fault| fault(number, kind));
        state.calls.push(call.into());
        let result = match fault {
            Some(kind) => {
                half(&mut state);
                Err(kind.into())
            }
            None => what(&mut state),
        };
        if state.past.is_some() {
            let now = State {
                past: None,
                ..state.clone()
            };
            state.past.as_mut().unwrap().push(now);
        }
        result
    }
}

impl State {
    fn names(&self, node: usize) -> &Names {
        match &self.nodes[node] {
            Node::Folder { names, .. } => names,
            Node::File { .. } => panic!("a file is no folder"),
        }
    }

    fn names_mut(&mut self, node: usize) -> &mut Names {
        match &mut self.nodes[node] {
            Node::Folder { names, .. } => names,
            Node::File { .. } => panic!("a file is no folder"),
        }
    }

    fn bytes_mut(&mut self, node: usize) -> (&mut Vec<u8>, &mut BTreeSet<usize>) {
        match &mut self.nodes[node] {
            Node::File { bytes, dirty, .. } => (bytes, dirty),
            Node::Folder { .. } => panic!("a folder is no file"),
        }
    }

    /// What is at the end of a path.
    fn find(&self, start: usize, path: &str) -> io::Result<usize> {
        path.split('/').try_fold(start, |folder, name| {
            let found = self.names(folder).get(name).copied();
            found.ok_or(io::ErrorKind::NotFound.into())
        })
    }

    fn add(&mut self, folder: usize, name: &str, node: Node) -> io::Result<usize> {
        let number = self.nodes.len();
        if self.deleted.contains(&folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if self.names(folder).contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.nodes.push(node);
        self.names_mut(folder).insert(name.into(), number);
        Ok(number)
    }

    fn write(&mut self, node: usize, position: usize, data: &[u8]) {
        let (bytes, dirty) = self.bytes_mut(node);
        let end = position + data.len();
        bytes.resize(bytes.len().max(end), 0);
        bytes[position..end].copy_from_slice(data);
        dirty.extend(position..end);
    }

    fn sync(&mut self, node: usize, reaches: bool) {
        match &mut self.nodes[node] {
            Node::Folder { names, durable } if reaches => durable.clone_from(names),
            Node::Folder { .. } => {}
            Node::File {
                bytes,
                dirty,
                durable,
            } => {
                // As Linux does it: a sync that failed is not made up for by the next.
                let dirty = std::mem::take(dirty);
                if reaches {
                    durable.resize(bytes.len(), 0);
                    dirty
                        .into_iter()
                        .filter(|&at| at < bytes.len())
                        .for_each(|at| durable[at] = bytes[at]);
                }
            }
        }
    }

    /// Takes a folder away, from `wandb` on.
    pub(super) fn delete(&mut self, path: &str) {
        let node = self.find(0, path).unwrap();
        let (parent, name) = match path.rsplit_once('/') {
            Some((parent, name)) => (self.find(0, parent).unwrap(), name),
            None => (0, path),
        };
        self.names_mut(parent).remove(name);
        // What is deleted has no names in it.
        let mut below = vec![node];
        while let Some(node) = below.pop() {
            if let Node::Folder { names, .. } = &mut self.nodes[node] {
                below.extend(std::mem::take(names).into_values());
                self.deleted.insert(node);
            }
        }
    }

    /// Forgets what no sync is to write: it is read from the disk after that.
    pub(super) fn evict(&mut self) {
        for node in &mut self.nodes {
            if let Node::File {
                bytes,
                dirty,
                durable,
            } = node
            {
                let clean = (0..bytes.len()).filter(|at| !dirty.contains(at));
                clean.for_each(|at| bytes[at] = durable.get(at).copied().unwrap_or(0));
            }
        }
    }

    /// The content of a file, from `wandb` on.
    pub(super) fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        match &self.nodes[self.find(0, path)?] {
            Node::File { bytes, .. } => Ok(bytes.clone()),
            Node::Folder { .. } => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    /// All names, with those of folders before those in them.
    pub(super) fn all_names(&self) -> Vec<String> {
        let mut all = Vec::new();
        self.add_names(0, Path::new(""), &mut all);
        all
    }

    fn add_names(&self, folder: usize, path: &Path, all: &mut Vec<String>) {
        for (name, &node) in self.names(folder) {
            let path = path.join(name);
            all.push(path.to_str().unwrap().into());
            if matches!(self.nodes[node], Node::Folder { .. }) {
                self.add_names(node, &path, all);
            }
        }
    }

    /// What a disk may hold when the power is back: everything that was synced, and of the rest
    /// whatever `choose` keeps.
    pub(super) fn after_power_loss(&self, choose: &mut impl FnMut(Unsynced) -> usize) -> State {
        let mut after = self.clone();
        for node in &mut after.nodes {
            match node {
                Node::Folder { names, durable } => *names = some_names(names, durable, choose),
                Node::File { bytes, durable, .. } => *bytes = some_bytes(bytes, durable, choose),
            }
        }
        after
    }
}

/// Something that a loss of power may keep or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsynced {
    /// A name: 0 loses it, anything else keeps it.
    Name,
    /// So many bytes: as many of them are kept.
    Bytes(usize),
    /// What was kept of them: 0 keeps zeros instead.
    Content,
}

fn some_names(names: &Names, durable: &Names, choose: &mut impl FnMut(Unsynced) -> usize) -> Names {
    let mut some = Names::new();
    let all: BTreeSet<_> = names.keys().chain(durable.keys()).collect();
    for name in all {
        let (now, then) = (names.get(name), durable.get(name));
        let node = match now == then || choose(Unsynced::Name) != 0 {
            true => now,
            false => then,
        };
        some.extend(node.map(|&node| (name.clone(), node)));
    }
    some
}

fn some_bytes(bytes: &[u8], durable: &[u8], choose: &mut impl FnMut(Unsynced) -> usize) -> Vec<u8> {
    let same = bytes
        .iter()
        .zip(durable)
        .take_while(|(a, b)| a == b)
        .count();
    let unsynced = bytes.len() - same;
    if unsynced == 0 {
        return bytes.into();
    }
    let kept = same + choose(Unsynced::Bytes(unsynced)).min(unsynced);
    let mut some = bytes[..kept].to_vec();
    if choose(Unsynced::Content) == 0 {
        some[same..].fill(0);
    }
    some
}

fn nothing(_: &mut State) {}

impl FakeFolder {
    fn file(&self, node: usize) -> FakeFile {
        FakeFile {
            disk: self.disk.clone(),
            node,
            position: 0,
        }
    }

    fn create(&self, call: &str, name: &str) -> io::Result<FakeFile> {
        let file = Node::File {
            bytes: Vec::new(),
            dirty: BTreeSet::new(),
            durable: Vec::new(),
        };
        let add = |state: &mut State| state.add(self.node, name, file);
        let node = self.disk.call(&format!("{call} {name}"), add, nothing)?;
        Ok(self.file(node))
    }

    /// The folder's path, for a record of the call that syncs it.
    fn label(&self) -> String {
        let state = self.disk.state();
        let all = state.all_names();
        let is_this = |path: &&String| state.find(0, path).unwrap() == self.node;
        let found = all.iter().find(is_this).map_or("wandb", |path| path);
        found.trim_start_matches("offline-run-1-a/").into()
    }
}

impl Folder for FakeFolder {
    type File = FakeFile;

    fn open_folder(&self, name: &str) -> io::Result<Self> {
        let find = |state: &mut State| state.find(self.node, name);
        let node = self
            .disk
            .call(&format!("open_folder {name}"), find, nothing)?;
        Ok(self.disk.folder(node))
    }

    fn create_folder(&self, name: &str) -> io::Result<()> {
        let folder = Node::Folder {
            names: Names::new(),
            durable: Names::new(),
        };
        let add = |state: &mut State| state.add(self.node, name, folder).map(drop);
        self.disk
            .call(&format!("create_folder {name}"), add, nothing)
    }

    fn create_file(&self, name: &str) -> io::Result<FakeFile> {
        self.create("create_file", name)
    }

    fn create_log(&self, name: &str) -> io::Result<FakeFile> {
        self.create("create_log", name)
    }

    fn sync_file(&self, name: &str) -> io::Result<()> {
        let node = self.disk.state().find(self.node, name)?;
        self.file(node).sync()
    }

    fn open_file(&self, name: &str) -> io::Result<impl Read + use<>> {
        let find = |state: &mut State| state.find(self.node, name);
        let node = self
            .disk
            .call(&format!("open_file {name}"), find, nothing)?;
        Ok(self.file(node))
    }

    /// The real file is moved where that can be; else it is copied: what that costs is the caller's.
    fn take(&self, name: &str, from: &Path, may_move: bool) -> io::Result<()> {
        if !may_move || !self.disk.state().moves {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        let bytes = fs::read(from)?;
        self.create("create_file", name)?.write_all(&bytes)?;
        fs::remove_file(from)
    }

    fn rename(&self, name: &str, to: &Self, new: &str) -> io::Result<()> {
        let rename = |state: &mut State| {
            let node = state.find(self.node, name)?;
            if state.deleted.contains(&to.node) {
                return Err(io::ErrorKind::NotFound.into());
            }
            state.names_mut(self.node).remove(name);
            state.names_mut(to.node).insert(new.into(), node);
            Ok(())
        };
        self.disk
            .call(&format!("rename {name} {new}"), rename, nothing)
    }

    fn remove_file(&self, name: &str) -> io::Result<()> {
        let remove = |state: &mut State| {
            state.find(self.node, name)?;
            state.names_mut(self.node).remove(name);
            Ok(())
        };
        self.disk
            .call(&format!("remove_file {name}"), remove, nothing)
    }

    fn identity(&self) -> io::Result<Identity> {
        let repeat = self.disk.state().numbers_repeat;
        Ok(identity(if repeat { 0 } else { self.node }))
    }

    fn identity_of(&self, path: &str) -> io::Result<Identity> {
        let find = |state: &mut State| {
            let node = state.find(self.node, path)?;
            let is_folder = matches!(state.nodes[node], Node::Folder { .. });
            let repeat = state.numbers_repeat && is_folder;
            Ok(identity(if repeat { 0 } else { node }))
        };
        self.disk.call(&format!("look_up {path}"), find, nothing)
    }

    fn is_link(&self, _: &str) -> bool {
        false
    }

    fn sync(&self) -> io::Result<()> {
        let call = format!("sync_folder {}", self.label());
        let sync = |state: &mut State| {
            state.sync(self.node, true);
            Ok(())
        };
        self.disk
            .call(&call, sync, |state| state.sync(self.node, false))
    }
}

fn identity(node: usize) -> Identity {
    Identity {
        device: 0,
        number: node as u64,
    }
}

impl DiskFile for FakeFile {
    fn rewind_to(&mut self, len: u64) -> io::Result<()> {
        let len = len as usize;
        let cut = |state: &mut State| {
            state.bytes_mut(self.node).0.resize(len, 0);
            Ok(())
        };
        self.disk.call("cut", cut, nothing)?;
        self.position = len;
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let sync = |state: &mut State| {
            state.sync(self.node, true);
            Ok(())
        };
        self.disk
            .call("sync", sync, |state| state.sync(self.node, false))
    }

    fn claim(&self) -> io::Result<()> {
        Ok(())
    }

    fn identity(&self) -> io::Result<Identity> {
        let other = u64::from(self.disk.state().numbers_differ);
        Ok(Identity {
            device: other,
            ..identity(self.node)
        })
    }
}

impl Write for FakeFile {
    /// A write that fails has written a half.
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let (node, position) = (self.node, self.position);
        let write = |state: &mut State| {
            state.write(node, position, data);
            Ok(data.len())
        };
        let half = &data[..data.len() / 2];
        let written = self.disk.call("write", write, |state| {
            state.write(node, position, half);
        });
        self.position += *written.as_ref().unwrap_or(&half.len());
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for FakeFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (node, position) = (self.node, self.position);
        let read = |state: &mut State| {
            let bytes = &state.bytes_mut(node).0[position..];
            let n = bytes.len().min(buffer.len());
            buffer[..n].copy_from_slice(&bytes[..n]);
            Ok(n)
        };
        let n = self.disk.call("read", read, nothing)?;
        self.position += n;
        Ok(n)
    }
}

impl Seek for FakeFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match to {
            SeekFrom::Start(at) => self.position = at as usize,
            SeekFrom::End(_) | SeekFrom::Current(_) => panic!("no such seek is needed"),
        }
        Ok(self.position as u64)
    }
}
