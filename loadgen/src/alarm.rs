//! Waiting for an instant, to the microsecond where the system can.
//!
//! tokio's timers have a resolution of a millisecond, which would be most of the
//! lag that loadgen reports of itself. On Linux a timer descriptor does better;
//! and since it is found readable the way a socket is, how late it is noticed is
//! also a fair sample of how late everything is noticed.

use std::io;

use tokio::time::Instant;

#[cfg(target_os = "linux")]
mod timer {
    use std::os::fd::OwnedFd;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::unix::AsyncFd;

    use super::{Instant, io};

    /// A timer that one task waits for.
    pub(crate) struct Alarm(AsyncFd<OwnedFd>);

    impl Alarm {
        /// A timer of the current runtime.
        ///
        /// # Errors
        ///
        /// The process has no descriptor left.
        #[expect(
            deprecated,
            reason = "register is unsafe; an OwnedFd keeps the promise that it asks for"
        )]
        pub(crate) fn new() -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            Ok(Self(AsyncFd::new(timerfd_create(TimerfdClockId::Monotonic, flags)?)?))
        }

        /// Waits until `at`; at once if that has passed.
        ///
        /// # Errors
        ///
        /// The system refuses a descriptor that it gave.
        pub(crate) async fn wait_until(&mut self, at: Instant) -> io::Result<()> {
            let wait = at.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                return Ok(());
            }
            let once = Itimerspec {
                it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
                it_value: Timespec {
                    tv_sec: wait.as_secs() as i64,
                    tv_nsec: i64::from(wait.subsec_nanos()),
                },
            };
            timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
            loop {
                let mut ready = self.0.readable_mut().await?;
                let read =
                    ready.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut [0; 8])?));
                // Not yet: the readiness was that of an earlier time.
                if let Ok(read) = read {
                    return read.map(drop);
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod timer {
    use super::{Instant, io};

    /// A timer that one task waits for.
    pub(crate) struct Alarm;

    impl Alarm {
        /// A timer of the current runtime.
        ///
        /// # Errors
        ///
        /// None here.
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self)
        }

        /// Waits until `at`; at once if that has passed.
        ///
        /// # Errors
        ///
        /// None here.
        pub(crate) async fn wait_until(&mut self, at: Instant) -> io::Result<()> {
            tokio::time::sleep_until(at).await;
            Ok(())
        }
    }
}

pub(crate) use timer::Alarm;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn alarm_is_never_early_and_works_again_and_again() {
        let mut alarm = Alarm::new().unwrap();
        for ms in [0, 3, 1, 0, 2] {
            let at = Instant::now() + Duration::from_millis(ms);
            alarm.wait_until(at).await.unwrap();
            assert!(Instant::now() >= at, "{ms} ms");
        }
    }

    #[tokio::test]
    async fn an_alarm_given_up_does_not_ring_later() {
        let mut alarm = Alarm::new().unwrap();
        let soon = Instant::now() + Duration::from_millis(50);
        assert!(
            tokio::time::timeout(Duration::from_millis(1), alarm.wait_until(soon)).await.is_err()
        );
        tokio::time::sleep_until(soon + Duration::from_millis(2)).await;
        let at = Instant::now() + Duration::from_millis(5);
        alarm.wait_until(at).await.unwrap();
        assert!(Instant::now() >= at);
    }
}
