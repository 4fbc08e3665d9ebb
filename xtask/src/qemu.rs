//! Virtual machines: how they are started, and how tests talk to one over its serial port (typing
//! and reading) and over QMP (keyboard and screenshots).

use crate::cache;
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// The emulator.
pub const PROGRAM: &str = "qemu-system-x86_64";

/// Where distributions put UEFI firmware: whether it is one image with its variables or code
/// alone, and the path.
const FIRMWARE: [(bool, &str); 6] = [
    (true, "/usr/share/ovmf/OVMF.fd"),
    (true, "/usr/share/qemu/OVMF.fd"),
    (false, "/usr/share/OVMF/OVMF_CODE_4M.fd"),
    (false, "/usr/share/OVMF/OVMF_CODE.fd"),
    (false, "/usr/share/edk2/x64/OVMF_CODE.4m.fd"),
    (false, "/usr/share/edk2/ovmf/OVMF_CODE.fd"),
];

/// The firmware of this machine.
#[must_use]
pub fn firmware() -> Option<(bool, &'static str)> {
    FIRMWARE.into_iter().find(|(_, path)| Path::new(path).exists())
}

/// How the disk is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bus {
    /// A USB stick on an xHCI controller.
    Usb,
    /// A SATA disk.
    Ahci,
}

/// What becomes of what the machine writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// It can be read back until the machine ends.
    Forgotten,
    /// It goes to the image, so many requests a second at most; 0 sets no limit.
    Kept(u32),
    /// It is refused, as by a stick whose lock is shut.
    Refused,
}

/// A virtual machine to start.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The disk image.
    pub image: PathBuf,
    /// What becomes of what the machine writes to it.
    pub writes: Writes,
    /// A second disk, which has an installed system.
    pub other_disk: Option<PathBuf>,
    /// How the disks are attached.
    pub bus: Bus,
    /// Whether there is a screen.
    pub screen: bool,
    /// QEMU's name of a CPU.
    pub cpu: &'static str,
    /// Memory.
    pub memory_mib: u32,
    /// Cores.
    pub cores: u32,
}

impl Machine {
    /// The usual one: a USB stick, the best CPU there is, 2 GiB, one core.
    #[must_use]
    pub fn new(image: impl Into<PathBuf>) -> Self {
        Self {
            image: image.into(),
            writes: Writes::Forgotten,
            other_disk: None,
            bus: Bus::Usb,
            screen: true,
            cpu: "max",
            memory_mib: 2048,
            cores: 1,
        }
    }

    /// The command that starts it; serial port on stdio. `kvm` runs it on this CPU.
    ///
    /// # Errors
    /// Without firmware.
    pub fn command(&self, kvm: bool) -> Result<Command> {
        let (whole, firmware) = firmware().context("no UEFI firmware: run `cargo xtask setup`")?;
        let mut qemu = Command::new(PROGRAM);
        let vga = if self.screen { "std" } else { "none" };
        qemu.args(["-machine", "q35", "-nodefaults", "-vga", vga, "-net", "none"]);
        qemu.args(if kvm { ["-accel", "kvm"] } else { ["-accel", "tcg,thread=multi"] });
        qemu.args(["-cpu", if kvm { "host" } else { self.cpu }]);
        qemu.args(["-m", &self.memory_mib.to_string(), "-smp", &self.cores.to_string()]);
        if whole {
            qemu.args(["-bios", firmware]);
        } else {
            qemu.args(["-drive", &format!("if=pflash,format=raw,readonly=on,file={firmware}")]);
        }
        // In QEMU's options a comma is written twice.
        let path = |path: &Path| path.display().to_string().replace(',', ",,");
        let writes = match self.writes {
            Writes::Forgotten => "snapshot=on".to_string(),
            Writes::Kept(a_second) => format!("throttling.iops-write={a_second}"),
            Writes::Refused => "readonly=on".to_string(),
        };
        let image = path(&self.image);
        qemu.args(["-drive", &format!("if=none,id=stick,format=raw,{writes},file={image}")]);
        qemu.args(["-device", "ahci,id=ahci"]);
        match self.bus {
            Bus::Usb => {
                // The first in the boot order, whatever other disk there is.
                let stick = "usb-storage,drive=stick,id=stick,bootindex=0";
                qemu.args(["-device", "qemu-xhci", "-device", stick])
            }
            Bus::Ahci => qemu.args(["-device", "ide-hd,drive=stick,bus=ahci.0,bootindex=0"]),
        };
        if let Some(other) = &self.other_disk {
            let drive = format!("if=none,id=other,format=raw,snapshot=on,file={}", path(other));
            qemu.args(["-drive", &drive, "-device", "ide-hd,drive=other,bus=ahci.1"]);
        }
        qemu.args(["-serial", "stdio"]);
        Ok(qemu)
    }

    /// Whether this machine can run under KVM here: tried for real, for on some machines the
    /// device is there but firmware dies.
    #[must_use]
    pub fn runs_on_kvm(&self) -> bool {
        let device = std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm");
        let started = || -> Result<bool> {
            let mut command = self.command(true)?;
            command.args(["-display", "none"]);
            let mut running = Running::start(command, None)?;
            Ok(running.expect("llamaboot ", Duration::from_secs(15)).is_ok())
        };
        device.is_ok() && started().unwrap_or(false)
    }

    /// Starts it for a test: no window, serial port and QMP in our hands.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(&self) -> Result<Running> {
        self.start_with(&[])
    }

    /// As [`Machine::start`]; when the machine switches itself off, it stays where it is.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start_to_stay(&self) -> Result<Running> {
        self.start_with(&["-no-shutdown"])
    }

    fn start_with(&self, more: &[&str]) -> Result<Running> {
        std::fs::create_dir_all(cache())?;
        let name = format!("qmp-{}-{:?}.sock", std::process::id(), std::thread::current().id());
        // A socket's path is short by law: relative to a temporary folder.
        let socket = std::env::temp_dir().join(name.replace(['(', ')'], ""));
        let _ = std::fs::remove_file(&socket);
        let mut command = self.command(false)?;
        command.args(["-display", "none"]).args(more);
        command.args(["-qmp", &format!("unix:{},server=on,wait=off", socket.display())]);
        Running::start(command, Some(socket))
    }
}

/// A running machine; killed when dropped.
pub struct Running {
    child: Child,
    stdin: ChildStdin,
    output: Receiver<Vec<u8>>,
    /// Everything the serial port has said.
    transcript: Vec<u8>,
    /// How much of it was expected already.
    seen: usize,
    socket: Option<PathBuf>,
}

/// Pause between typed bytes: firmware polls a 16-byte queue every 10 ms.
const TYPING: Duration = Duration::from_millis(3);

impl Running {
    fn start(mut command: Command, socket: Option<PathBuf>) -> Result<Self> {
        let shown = crate::show(&command);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Without QMP it is only tried whether it runs; what QEMU says of that is noise.
            .stderr(if socket.is_some() { Stdio::inherit() } else { Stdio::null() })
            .spawn()
            .with_context(|| shown)?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (stdin, mut stdout) = stdin.zip(stdout).context("QEMU without pipes")?;
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = stdout.read(&mut buffer) {
                if sender.send(buffer[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, stdin, output, transcript: Vec::new(), seen: 0, socket })
    }

    /// Types bytes on the serial line, with pauses.
    ///
    /// # Errors
    /// Where the machine has gone.
    pub fn send(&mut self, text: &str) -> Result<()> {
        self.send_bytes(text.as_bytes())
    }

    /// As [`Running::send`], with bytes that need not be text.
    ///
    /// # Errors
    /// Where the machine has gone.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        for &byte in bytes {
            self.stdin.write_all(&[byte])?;
            self.stdin.flush()?;
            std::thread::sleep(TYPING);
        }
        Ok(())
    }

    /// Sends bytes faster than firmware can take them in, so that some are lost.
    ///
    /// # Errors
    /// Where the machine has gone.
    pub fn send_at_once(&mut self, bytes: &[u8]) -> Result<()> {
        self.stdin.write_all(bytes)?;
        Ok(self.stdin.flush()?)
    }

    /// Waits until the serial line has said `text`, and returns what it said before that, from
    /// the last expected place on.
    ///
    /// # Errors
    /// Where that does not come in time; the message holds what came instead.
    pub fn expect(&mut self, text: &str, limit: Duration) -> Result<String> {
        let deadline = Instant::now() + limit;
        loop {
            let new = &self.transcript[self.seen..];
            if let Some(at) = find(new, text.as_bytes()) {
                let said = String::from_utf8_lossy(&new[..at]).into_owned();
                self.seen += at + text.len();
                return Ok(said);
            }
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.transcript.extend(bytes),
                Err(error) => {
                    let why = if error == RecvTimeoutError::Timeout {
                        "not in time"
                    } else {
                        "QEMU ended"
                    };
                    bail!(
                        "expected {text:?} ({why}); the serial line said {:?}",
                        String::from_utf8_lossy(new)
                    );
                }
            }
        }
    }

    /// Waits for the machine to switch itself off.
    ///
    /// # Errors
    /// Where it does not in time.
    pub fn wait_off(&mut self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        // The serial line closes when QEMU ends.
        while Instant::now() < deadline {
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.transcript.extend(bytes),
                Err(RecvTimeoutError::Disconnected) => {
                    ensure!(self.child.wait()?.success(), "QEMU ended with a fault");
                    return Ok(());
                }
                Err(RecvTimeoutError::Timeout) => break,
            }
        }
        bail!("the machine is still on after {limit:?}")
    }

    /// Presses and releases a key of the virtual keyboard, by QEMU's name (`a`, `ret`, `ctrl-c`).
    ///
    /// # Errors
    /// Where QMP does not answer.
    pub fn press(&mut self, key: &str) -> Result<()> {
        let keys: Vec<Value> =
            key.split('-').map(|name| json!({"type": "qcode", "data": name})).collect();
        self.qmp(&json!({"execute": "send-key", "arguments": {"keys": keys, "hold-time": 40}}))?;
        std::thread::sleep(Duration::from_millis(90));
        Ok(())
    }

    /// Pulls the stick out.
    ///
    /// # Errors
    /// Where QMP does not answer.
    pub fn pull_stick(&mut self) -> Result<()> {
        self.qmp(&json!({"execute": "device_del", "arguments": {"id": "stick"}}))?;
        Ok(())
    }

    /// Writes all of the machine's memory to a file.
    ///
    /// # Errors
    /// Where QMP does not answer.
    pub fn dump_memory(&mut self, memory_mib: u32, path: &Path) -> Result<()> {
        let file = path.display().to_string();
        let arguments = json!({"val": 0, "size": u64::from(memory_mib) << 20, "filename": file});
        self.qmp(&json!({"execute": "pmemsave", "arguments": arguments}))?;
        Ok(())
    }

    /// Waits until the machine has switched itself off, where it was started with
    /// [`Machine::start_to_stay`].
    ///
    /// # Errors
    /// Where it does not in time.
    pub fn wait_halted(&mut self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            let status = self.qmp(&json!({"execute": "query-status"}))?;
            if status.contains("\"shutdown\"") {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        bail!("the machine is still on after {limit:?}")
    }

    /// Cuts the power.
    ///
    /// # Errors
    /// Where QEMU cannot be ended.
    pub fn cut_power(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Saves what is on the screen as a PNG.
    ///
    /// # Errors
    /// Where QMP does not answer.
    pub fn screenshot(&mut self, path: &Path) -> Result<()> {
        let file = path.display().to_string();
        self.qmp(
            &json!({"execute": "screendump", "arguments": {"filename": file, "format": "png"}}),
        )?;
        Ok(())
    }

    /// Sends a request; returns the answer's line.
    fn qmp(&mut self, request: &Value) -> Result<String> {
        let socket = self.socket.as_ref().context("started without QMP")?;
        let mut stream = UnixStream::connect(socket)?;
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        lines.next().context("QMP greets nobody")??;
        let mut last = String::new();
        for request in [&json!({"execute": "qmp_capabilities"}), request] {
            writeln!(stream, "{request}")?;
            let answer = lines
                .by_ref()
                .map_while(Result::ok)
                .find(|line| line.contains("\"return\"") || line.contains("\"error\""))
                .context("QMP closed")?;
            ensure!(!answer.contains("\"error\""), "QMP refuses {request}: {answer}");
            last = answer;
        }
        Ok(last)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(socket) = &self.socket {
            let _ = std::fs::remove_file(socket);
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
