//! Work in the background on all cores, in bounded memory: that of all artifacts and tables of the
//! process.
//!
//! Nothing here waits for a job: what follows when all jobs of a group are done is a job too. So
//! one thread is enough for all, whatever they make of one another.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};

use crate::background;
use crate::error::{Error, Result};
use crate::memory::{Load, Memory};
use crate::sync::{Builder, Condvar, Mutex, MutexGuard, processors, shared_by_all};

/// What waits at most, in bytes: as much as the queue of a run holds by default.
const ROOM: u64 = 256 << 20;
const MADE: &str = "an artifact or a table was made";

/// Does jobs on threads of its own, at most as many as there are processors, which end when no group
/// is left. None is left to the thread that trains, since these step back: on Linux they don't take
/// the processor from it when it wakes (`background.rs`).
pub(crate) struct Workshop {
    state: Mutex<State>,
    for_workers: Condvar,
    for_callers: Condvar,
    limit: u64,
    most_threads: usize,
    system: System,
}

/// What it asks of the system.
#[derive(Clone, Copy)]
struct System {
    /// Starts a thread.
    start: fn(Box<dyn FnOnce() + Send>) -> io::Result<()>,
    /// The number of this process.
    process: fn() -> u32,
}

impl System {
    const REAL: Self = Self {
        start,
        process: std::process::id,
    };
}

fn start(work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    let thread = Builder::new().name("wandb-image-artifact".into());
    thread.spawn(work).map(drop)
}

shared_by_all!(OF_PROCESS: Arc<Workshop> = Workshop::new(ROOM, processors()));

impl std::fmt::Debug for Workshop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workshop").finish_non_exhaustive()
    }
}

type GroupId = u64;
type Work = Box<dyn FnOnce(Room) -> Result<()> + Send>;
type End = Box<dyn FnOnce(Result<()>) + Send>;

#[derive(Default)]
struct State {
    /// What follows on groups of which all is done: it comes before jobs, since it is made then.
    ends: VecDeque<(End, Result<()>)>,
    /// Groups with jobs that wait, each a job at a time: one with many keeps no other waiting.
    turns: VecDeque<GroupId>,
    /// Jobs that wait, of all groups.
    waiting: usize,
    groups: BTreeMap<GroupId, Members>,
    next_id: GroupId,
    /// What jobs hold that wait, are done, or left something that waits still.
    memory: Memory,
    /// Its bytes.
    held: u64,
    /// Callers that wait for room, the first of them first.
    line: VecDeque<u64>,
    next_in_line: u64,
    threads: usize,
    idle: usize,
    /// The process that they belong to.
    process: u32,
}

/// Where it is dropped, its work goes first: others may count on its room.
struct Job(Work, Room, Task);

/// The jobs of an artifact or a table.
#[derive(Default)]
struct Members {
    /// Jobs that wait or are being done, and groups that end in this one.
    pending: usize,
    /// Those that wait, in the order in which they are begun.
    jobs: VecDeque<Job>,
    failure: Option<Arc<Error>>,
    stage: Stage,
    /// The group in which this one ends.
    parent: Option<GroupId>,
}

#[derive(Default)]
enum Stage {
    /// More may come.
    #[default]
    Open,
    /// No more comes, and this follows when all is done.
    Ending(End),
    /// Nobody wants it.
    Unwanted,
}

/// Jobs that belong together: the first failure of one is that of all. Where it is dropped, those
/// that wait are too.
#[derive(Debug)]
pub(crate) struct Group {
    workshop: Arc<Workshop>,
    id: GroupId,
}

/// One of the things that a group waits for, until this is dropped.
struct Task {
    workshop: Arc<Workshop>,
    group: GroupId,
}

/// The end of a group, for which no thread could be started.
pub(crate) struct Undone(End, Error);

/// The room that something takes, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    workshop: Arc<Workshop>,
    load: Load,
    /// In which it was taken.
    process: u32,
}

impl Workshop {
    pub(crate) fn new(limit: u64, most_threads: usize) -> Arc<Self> {
        Self::on(System::REAL, limit, most_threads)
    }

    fn on(system: System, limit: u64, most_threads: usize) -> Arc<Self> {
        let state = State {
            process: (system.process)(),
            ..State::default()
        };
        Arc::new(Self {
            state: Mutex::new(state),
            for_workers: Condvar::new(),
            for_callers: Condvar::new(),
            limit,
            most_threads,
            system,
        })
    }

    /// One that can't start any thread.
    #[cfg(test)]
    pub(crate) fn without_threads() -> Arc<Self> {
        let system = System {
            start: |_| Err(io::ErrorKind::WouldBlock.into()),
            ..System::REAL
        };
        Self::on(system, ROOM, 1)
    }

    /// A panic elsewhere doesn't harm the state: each of its changes is whole. A process that is forked
    /// while a thread holds the lock waits for it for ever: that can't be helped.
    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.begin_anew_in((self.system.process)());
        state
    }

    pub(crate) fn group(self: &Arc<Self>) -> Group {
        Group {
            workshop: Arc::clone(self),
            id: self.lock().add_group(),
        }
    }

    /// Waits until there is room for the load, in the order in which callers come: one that is
    /// larger than the limit has its turn when nothing else is there.
    fn with_room(&self, group: GroupId, load: &Load) -> Result<MutexGuard<'_, State>> {
        let mut state = self.lock();
        state.check(group)?;
        let may_wait = !background::is_here();
        let goes_first = state.line.is_empty() || load.bytes() == 0 || !may_wait;
        if goes_first && state.has_room(load, self.limit) {
            return Ok(state);
        }
        if !may_wait {
            return Err(no_room());
        }
        let place = state.stand_in_line();
        while state.must_wait(group, place, load, self.limit) {
            state = wait(&self.for_callers, state);
        }
        state.line.retain(|other| *other != place);
        self.for_callers.notify_all();
        state.check(group).map(|()| state)
    }

    /// Sees to it that a thread takes a job more. The lock is held: where there are jobs, there is
    /// a thread.
    fn staff(self: &Arc<Self>, state: &mut State) -> Result<()> {
        let ahead = state.ends.len() + state.waiting;
        if state.idle > ahead || state.threads >= self.most_threads {
            return Ok(());
        }
        let workshop = Arc::clone(self);
        match (self.system.start)(Box::new(move || workshop.work())) {
            Ok(()) => state.threads += 1,
            Err(source) if state.threads == 0 => return Err(no_thread(source)),
            Err(_) => {}
        }
        Ok(())
    }

    fn work(&self) {
        background::begin();
        while let Some(next) = self.next() {
            quietly(next);
        }
    }

    /// None when nothing will come any more.
    fn next(&self) -> Option<Box<dyn FnOnce()>> {
        let mut state = self.lock();
        loop {
            if let Some((end, result)) = state.ends.pop_front() {
                return Some(Box::new(move || end(result)));
            }
            if let Some(job) = state.next_job() {
                return Some(Box::new(move || job.run()));
            }
            if state.groups.is_empty() {
                state.threads -= 1;
                return None;
            }
            state.idle += 1;
            state = wait(&self.for_workers, state);
            state.idle -= 1;
        }
    }

    /// Has the group end where nothing of it is left to do. Its end is returned where no thread could
    /// be started for it.
    fn rest(self: &Arc<Self>, group: GroupId) -> Option<Undone> {
        let mut state = self.lock();
        let Members { stage, failure, .. } = state.take_out(group)?;
        let result = failure.map_or(Ok(()), |error| Err(Error::Shared(error)));
        let Stage::Ending(end) = stage else {
            // It may have been the last one.
            drop(state);
            self.for_workers.notify_all();
            return None;
        };
        if let Err(error) = self.staff(&mut state) {
            return Some(Undone(end, error));
        }
        state.ends.push_back((end, result));
        drop(state);
        self.for_workers.notify_all();
        None
    }

    fn fail(&self, group: GroupId, error: Error) {
        let error = Arc::new(error);
        let mut state = self.lock();
        let Some(members) = state.groups.get_mut(&group) else {
            return;
        };
        members.failure.get_or_insert_with(|| Arc::clone(&error));
        let withdrawn = state.withdraw(group);
        drop(state);
        self.for_callers.notify_all();
        withdrawn.discard();
    }
}

impl State {
    /// Begins anew in a process that was forked: the threads are its parent's, and what they have in
    /// hand is never done here. What waits is left as it is, not dropped: its files are the parent's.
    fn begin_anew_in(&mut self, process: u32) {
        if self.process == process {
            return;
        }
        let is_open = |members: &Members| matches!(members.stage, Stage::Open);
        let open = self.groups.iter().filter(|(_, members)| is_open(members));
        let anew = Self {
            groups: open.map(|(id, _)| (*id, Members::forked())).collect(),
            next_id: self.next_id,
            process,
            ..Self::default()
        };
        std::mem::forget(std::mem::replace(self, anew));
    }

    fn add_group(&mut self) -> GroupId {
        let id = self.next_id;
        self.next_id += 1;
        self.groups.insert(id, Members::default());
        id
    }

    fn check(&self, group: GroupId) -> Result<()> {
        let members = self.groups.get(&group);
        match members.and_then(|members| members.failure.as_ref()) {
            None => Ok(()),
            Some(error) => Err(Error::Shared(Arc::clone(error))),
        }
    }

    /// What holds nothing more has room in any case.
    fn has_room(&self, load: &Load, limit: u64) -> bool {
        let added = self.memory.added_by(load);
        added == 0 || self.held == 0 || self.held.saturating_add(added) <= limit
    }

    fn stand_in_line(&mut self) -> u64 {
        let place = self.next_in_line;
        self.next_in_line += 1;
        self.line.push_back(place);
        place
    }

    fn must_wait(&self, group: GroupId, place: u64, load: &Load, limit: u64) -> bool {
        let is_its_turn = self.line.front() == Some(&place) && self.has_room(load, limit);
        !is_its_turn && self.check(group).is_ok()
    }

    /// A group waits for one thing more.
    fn expect(&mut self, group: GroupId) {
        if let Some(members) = self.groups.get_mut(&group) {
            members.pending += 1;
        }
    }

    /// Takes a group out of which nothing is pending, and nothing more comes.
    fn take_out(&mut self, group: GroupId) -> Option<Members> {
        let members = self.groups.get(&group)?;
        match members.pending == 0 && !matches!(members.stage, Stage::Open) {
            true => self.groups.remove(&group),
            false => None,
        }
    }

    /// The next job of the group whose turn it is.
    fn next_job(&mut self) -> Option<Job> {
        let group = self.turns.pop_front()?;
        let jobs = &mut self.groups.get_mut(&group)?.jobs;
        let job = jobs.pop_front()?;
        if !jobs.is_empty() {
            self.turns.push_back(group);
        }
        self.waiting -= 1;
        Some(job)
    }

    fn add_job(&mut self, group: GroupId, job: Job) {
        let Some(members) = self.groups.get_mut(&group) else {
            return;
        };
        if members.jobs.is_empty() {
            self.turns.push_back(group);
        }
        members.jobs.push_back(job);
        self.waiting += 1;
    }

    /// Takes out what waits of a group, and the groups that would end in it.
    fn withdraw(&mut self, group: GroupId) -> Withdrawn {
        let has_any = |members: &Members| members.pending > 0;
        let parts: BTreeSet<GroupId> = match self.groups.get(&group).is_some_and(has_any) {
            true => self.within(group),
            false => BTreeSet::new(),
        };
        self.turns.retain(|group| !parts.contains(group));
        let mut withdrawn = Withdrawn::default();
        for part in parts {
            let Some(members) = self.groups.get_mut(&part) else {
                continue;
            };
            withdrawn.jobs.extend(members.jobs.drain(..));
            if part != group {
                withdrawn.ends.extend(members.give_up());
            }
        }
        self.waiting -= withdrawn.jobs.len();
        withdrawn
    }

    /// The group and all that end in it.
    fn within(&self, group: GroupId) -> BTreeSet<GroupId> {
        let all = self.groups.keys().copied();
        all.filter(|part| self.is_within(*part, group)).collect()
    }

    fn is_within(&self, mut group: GroupId, other: GroupId) -> bool {
        while group != other {
            match self.groups.get(&group).and_then(|members| members.parent) {
                Some(parent) => group = parent,
                None => return false,
            }
        }
        true
    }
}

impl Members {
    fn forked() -> Self {
        let reason = "it was begun before the process was forked, and is made in that one: begin it \
                      anew in this";
        let reason = reason.into();
        Self {
            failure: Some(Arc::new(Error::Value { reason })),
            ..Self::default()
        }
    }

    /// Nobody wants it any more. Returned is what was to follow.
    fn give_up(&mut self) -> Option<End> {
        match std::mem::replace(&mut self.stage, Stage::Unwanted) {
            Stage::Ending(end) => Some(end),
            Stage::Open | Stage::Unwanted => None,
        }
    }
}

/// What is dropped when the lock isn't held: jobs may hold tensors of the user's own.
#[derive(Default)]
struct Withdrawn {
    jobs: Vec<Job>,
    ends: Vec<End>,
}

impl Withdrawn {
    fn discard(self) {
        self.jobs.into_iter().for_each(|job| quietly(|| drop(job)));
        self.ends.into_iter().for_each(|end| quietly(|| drop(end)));
    }
}

impl Job {
    fn run(self) {
        let Self(work, room, task) = self;
        task.done(background::guarded(MADE, || work(room)));
    }
}

impl Task {
    fn done(self, result: Result<()>) {
        if let Err(error) = result {
            self.workshop.fail(self.group, error);
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let mut state = self.workshop.lock();
        if let Some(members) = state.groups.get_mut(&self.group) {
            members.pending -= 1;
        }
        drop(state);
        let undone = self.workshop.rest(self.group);
        undone.into_iter().for_each(Undone::end);
    }
}

impl Undone {
    /// Hands the failure over, here.
    pub(crate) fn end(self) {
        let Self(end, error) = self;
        end(Err(error));
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut state = self.workshop.lock();
        if state.process != self.process {
            return;
        }
        let bytes = state.memory.give_back(&self.load);
        state.held -= bytes;
        let is_awaited = !state.line.is_empty();
        drop(state);
        if is_awaited {
            self.workshop.for_callers.notify_all();
        }
    }
}

/// One in the workshop of the process.
impl Default for Group {
    fn default() -> Self {
        OF_PROCESS.group()
    }
}

impl Group {
    /// Takes a job, once there is room for what it holds. Nothing is taken any more where one has
    /// failed. A thread that makes what others wait for doesn't wait: it gets an error.
    pub(crate) fn give(
        &self,
        load: Load,
        job: impl FnOnce(Room) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let mut state = self.workshop.with_room(self.id, &load)?;
        self.workshop.staff(&mut state)?;
        state.held += state.memory.take(&load);
        let workshop = Arc::clone(&self.workshop);
        let room = Room {
            workshop,
            load,
            process: state.process,
        };
        let task = self.task(&mut state);
        state.add_job(self.id, Job(Box::new(job), room, task));
        drop(state);
        self.workshop.for_workers.notify_one();
        Ok(())
    }

    /// The failure of a job, where one has failed.
    pub(crate) fn check(&self) -> Result<()> {
        self.workshop.lock().check(self.id)
    }

    fn task(&self, state: &mut State) -> Task {
        state.expect(self.id);
        Task {
            workshop: Arc::clone(&self.workshop),
            group: self.id,
        }
    }

    /// Does the work in the background when all jobs are done, and hands over what comes of it; or
    /// the first failure. Nothing waits for it. Where no thread could be started for that, it is
    /// returned: to be ended where it is fine to tell the failure, and to remove files.
    #[must_use = "where it isn't ended, nothing is handed over"]
    pub(crate) fn finish<T>(
        self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
        take: impl FnOnce(Result<T>) + Send + 'static,
    ) -> Option<Undone> {
        self.end(Box::new(move |settled: Result<()>| {
            take(settled.and_then(|()| background::guarded(MADE, work)));
        }))
    }

    /// The same as a part of another group, which waits for it, and fails with it.
    pub(crate) fn finish_in(
        self,
        other: &Group,
        work: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let mut state = self.workshop.lock();
        state.check(other.id)?;
        let task = other.task(&mut state);
        if let Some(members) = state.groups.get_mut(&self.id) {
            members.parent = Some(other.id);
        }
        drop(state);
        let undone = self.finish(work, move |result| task.done(result));
        undone.into_iter().for_each(Undone::end);
        Ok(())
    }

    fn end(self, end: End) -> Option<Undone> {
        let mut state = self.workshop.lock();
        if let Some(members) = state.groups.get_mut(&self.id) {
            members.stage = Stage::Ending(end);
        }
        drop(state);
        self.workshop.rest(self.id)
    }
}

/// Where nothing follows, what waits is of no use. The rest is up to whoever has the last of it in
/// hand.
impl Drop for Group {
    fn drop(&mut self) {
        let mut state = self.workshop.lock();
        let is_open = |members: &&mut Members| matches!(members.stage, Stage::Open);
        let open = state.groups.get_mut(&self.id).filter(is_open);
        let withdrawn = open.map(Members::give_up).map(|_| state.withdraw(self.id));
        drop(state);
        withdrawn.into_iter().for_each(Withdrawn::discard);
        let undone = self.workshop.rest(self.id);
        undone.into_iter().for_each(Undone::end);
    }
}

/// Does what may panic in the user's own code: a tensor that is dropped, for example.
fn quietly(work: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(work));
}

fn no_thread(source: io::Error) -> Error {
    Error::Thread {
        purpose: "that makes artifacts and tables",
        source,
        advice: "have the program start fewer, or let it start more (`ulimit -u`)",
    }
}

fn no_room() -> Error {
    Error::Value {
        reason: format!(
            "{} MiB of pictures wait already, and it was given on a thread that makes pictures or \
             writes them, and which would wait for itself: do it on a thread of your own",
            ROOM >> 20
        ),
    }
}

fn wait<'a>(condition: &Condvar, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
    condition
        .wait(state)
        .unwrap_or_else(PoisonError::into_inner)
}

#[cfg(all(test, loom))]
mod loom {
    mod tests;
}

#[cfg(test)]
mod tests;
