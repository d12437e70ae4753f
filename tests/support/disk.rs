//! A disk of a test's own: an ext4 file system in a file, mounted over a folder of the test.
//!
//! What has reached such a disk is what stands in the file below it; what the kernel still keeps in
//! memory for the mounted files does not. So the file, copied, is the disk after a power cut.
//!
//! Needs root and loop devices: [`Disk::why_not`] tells where there are none.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use super::program::{Folder, text};
use super::{LOOK_EVERY, PATIENCE, TestResult};

/// Enough for a file system of which nothing but mounting is tried.
const TRIED_MIB: u64 = 8;

/// Writes that are on their way when a copy begins end within a few tries.
const COPIES_MAX: usize = 20;

/// A mounted disk. Dropped, it is taken away with everything on it: end what works on it before.
pub(crate) struct Disk {
    image: PathBuf,
    at: PathBuf,
    // Last: its removal goes through what is still mounted.
    _folder: Arc<Folder>,
}

impl Disk {
    /// Makes an empty disk of so many MiB, and mounts it at `at`, a path below the folder's.
    pub(crate) fn mounted(folder: &Arc<Folder>, at: &Path, mib: u64) -> TestResult<Self> {
        let name = at.file_name().context("a disk lies at a folder")?;
        let image = folder
            .path()
            .join(format!("{}.img", name.to_string_lossy()));
        fs::File::create(&image)?.set_len(mib << 20)?;
        // Everything is laid out at once: the kernel does not write behind the test's back. Nothing is
        // kept for root, who is not the only one to find the disk full.
        let options = "lazy_itable_init=0,lazy_journal_init=0,nodiscard";
        let mut make = Command::new("mkfs.ext4");
        make.args(["-q", "-m", "0", "-E", options]);
        done(make.arg(&image))?;
        fs::create_dir_all(at)?;
        mount(&image, at)?;
        Ok(Self {
            image,
            at: at.to_owned(),
            _folder: Arc::clone(folder),
        })
    }

    /// Why there can be no such disk here, if so.
    pub(crate) fn why_not() -> Option<String> {
        let tried = || -> TestResult {
            let folder = Folder::new("disk")?;
            Self::mounted(&folder, &folder.data(), TRIED_MIB).map(drop)
        };
        let error = tried().err()?;
        Some(format!("needs root and loop devices: {error:#}"))
    }

    fn unmount(&self) -> TestResult {
        let started = Instant::now();
        // Whoever has just been killed may still be closing its files.
        while let Err(error) = done(Command::new("umount").arg(&self.at)) {
            anyhow::ensure!(started.elapsed() < PATIENCE, "{error:#}");
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Leaves so many bytes of it free, or fewer, where others write meanwhile.
    pub(crate) fn fill(&self, bytes_left: u64) -> TestResult {
        let disk = rustix::fs::statvfs(&self.at)?;
        let free = disk.f_bavail * disk.f_frsize;
        let filler = fs::File::create(self.filler())?;
        let bytes = free.saturating_sub(bytes_left);
        match rustix::fs::fallocate(filler, FallocateFlags::empty(), 0, bytes) {
            Ok(()) | Err(Errno::NOSPC) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives back what filled it.
    pub(crate) fn make_room(&self) -> TestResult {
        Ok(fs::remove_file(self.filler())?)
    }

    fn filler(&self) -> PathBuf {
        self.at.join("filler")
    }

    /// Copies what has reached it. Whoever works on it is stopped.
    pub(crate) fn copy(&self) -> TestResult<PathBuf> {
        let copy = self.image.with_extension("cut");
        for _ in 0..COPIES_MAX {
            let before = self.traffic()?;
            let mut copying = Command::new("cp");
            let options = ["--sparse=always", "--reflink=auto"];
            done(copying.args(options).arg(&self.image).arg(&copy))?;
            // The kernel itself may have written meanwhile: that would be half of one moment, half of
            // another.
            if before == self.traffic()? {
                return Ok(copy);
            }
        }
        anyhow::bail!("`{}` is never quiet", self.at.display())
    }

    /// How many sectors were written, and how many requests are under way.
    fn traffic(&self) -> TestResult<(String, String)> {
        let mounts = fs::read_to_string("/proc/mounts")?;
        let at = self.at.to_string_lossy();
        let device = mounts.lines().rev().find_map(|line| {
            let (device, rest) = line.split_once(' ')?;
            (rest.split(' ').next() == Some(&*at)).then_some(device)
        });
        let device = device.context("it is mounted")?;
        let device = device.trim_start_matches("/dev/");
        // Documentation/block/stat.rst of Linux.
        let figures = fs::read_to_string(format!("/sys/block/{device}/stat"))?;
        let figures: Vec<&str> = figures.split_whitespace().collect();
        Ok((figures[6].to_owned(), figures[8].to_owned()))
    }

    /// Puts a copy in its place. Nobody may work on it any more.
    pub(crate) fn go_on_with(&self, copy: &Path) -> TestResult {
        self.unmount()?;
        fs::rename(copy, &self.image)?;
        mount(&self.image, &self.at)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.unmount().is_err() {
            done(Command::new("umount").arg("--lazy").arg(&self.at)).ok();
        }
    }
}

fn mount(image: &Path, at: &Path) -> TestResult {
    done(
        Command::new("mount")
            .args(["-o", "loop"])
            .arg(image)
            .arg(at),
    )
}

/// Runs a command that must succeed.
fn done(command: &mut Command) -> TestResult {
    let output = command.stdin(Stdio::null()).output();
    let name = command.get_program().to_string_lossy();
    let output = output.with_context(|| format!("run `{name}`"))?;
    anyhow::ensure!(
        output.status.success(),
        "`{name}`: {}",
        text(&output.stderr).trim()
    );
    Ok(())
}
