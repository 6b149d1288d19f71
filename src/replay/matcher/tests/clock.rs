//! Virtual time: tasks that sleep, and queues on which they wait for each other.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

type Task<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// When tasks go on. A task waits for one thing at a time.
#[derive(Default)]
pub struct Clock<'a> {
    now: Cell<u64>,
    /// When, in which order of asking, which task.
    agenda: RefCell<BinaryHeap<Reverse<(u64, u64, usize)>>>,
    asked: Cell<u64>,
    ready: RefCell<VecDeque<usize>>,
    running: Cell<usize>,
    begun: Cell<usize>,
    new: RefCell<Vec<Task<'a>>>,
}

/// Values on their way from tasks to a task.
pub struct Queue<T>(Rc<RefCell<(VecDeque<T>, Option<usize>)>>);

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Queue<T> {
        Queue(Rc::clone(&self.0))
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        Queue(Rc::new(RefCell::new((VecDeque::new(), None))))
    }
}

impl<'a> Clock<'a> {
    pub fn now(&self) -> u64 {
        self.now.get()
    }

    /// Begins a task.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'a) {
        self.new.borrow_mut().push(Box::pin(task));
        self.ready.borrow_mut().push_back(self.begun.get());
        self.begun.set(self.begun.get() + 1);
    }

    pub async fn sleep(&self, ticks: u64) {
        let mut asleep = false;
        poll_fn(|_| {
            if std::mem::replace(&mut asleep, true) {
                return Poll::Ready(());
            }
            self.asked.set(self.asked.get() + 1);
            let entry = Reverse((self.now.get() + ticks, self.asked.get(), self.running.get()));
            self.agenda.borrow_mut().push(entry);
            Poll::Pending
        })
        .await;
    }

    pub fn send<T>(&self, queue: &Queue<T>, value: T) {
        let mut inner = queue.0.borrow_mut();
        inner.0.push_back(value);
        if let Some(task) = inner.1.take() {
            self.ready.borrow_mut().push_back(task);
        }
    }

    pub async fn next<T>(&self, queue: &Queue<T>) -> T {
        poll_fn(|_| {
            let mut inner = queue.0.borrow_mut();
            match inner.0.pop_front() {
                Some(value) => Poll::Ready(value),
                None => {
                    inner.1 = Some(self.running.get());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Runs until every task waits for a queue; `on_still` is then asked whether it can bring something. Ends when it
    /// cannot, or when `over` says so.
    pub fn run(&self, over: impl Fn() -> bool, on_still: impl Fn() -> bool) {
        let mut tasks: Vec<Option<Task<'a>>> = Vec::new();
        let mut context = Context::from_waker(Waker::noop());
        while !over() {
            let ready = self.ready.borrow_mut().pop_front();
            if let Some(task) = ready {
                tasks.extend(self.new.borrow_mut().drain(..).map(Some));
                self.running.set(task);
                let done = tasks[task].as_mut().is_some_and(|t| t.as_mut().poll(&mut context).is_ready());
                if done {
                    tasks[task] = None;
                }
                continue;
            }
            let next = self.agenda.borrow_mut().pop();
            match next {
                Some(Reverse((at, _, task))) => {
                    self.now.set(at);
                    self.ready.borrow_mut().push_back(task);
                }
                None if on_still() => {}
                None => break,
            }
        }
    }
}
