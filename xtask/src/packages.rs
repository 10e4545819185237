//! Packages of Linux distributions that running and testing take.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::Outcome;

/// How a package manager installs, and what it calls what is needed here.
pub(crate) struct PackageManager {
    program: &'static str,
    /// Brings the list of packages up to date; may fail where one of many sources is down.
    refresh: Option<&'static [&'static str]>,
    install: &'static [&'static str],
    /// Mesa's drivers with lavapipe, and Vulkan's loader.
    pub(crate) software_vulkan: &'static [&'static str],
    /// An X server that draws into memory, and what windows load to show on it.
    pub(crate) virtual_screen: &'static [&'static str],
}

const PACKAGE_MANAGERS: [PackageManager; 3] = [
    PackageManager {
        program: "apt-get",
        refresh: Some(&["update"]),
        install: &["install", "--yes", "--no-install-recommends"],
        software_vulkan: &["mesa-vulkan-drivers", "libvulkan1"],
        virtual_screen: &[
            "xvfb",
            "libx11-6",
            "libx11-xcb1",
            "libxcursor1",
            "libxi6",
            "libxkbcommon-x11-0",
        ],
    },
    PackageManager {
        program: "dnf",
        refresh: None,
        install: &["install", "--assumeyes"],
        software_vulkan: &["mesa-vulkan-drivers", "vulkan-loader"],
        virtual_screen: &[
            "xorg-x11-server-Xvfb",
            "libX11",
            "libX11-xcb",
            "libXcursor",
            "libXi",
            "libxkbcommon-x11",
        ],
    },
    PackageManager {
        program: "pacman",
        refresh: None,
        // A fresh container has no package lists; refreshing them is part of the same command.
        install: &["-Sy", "--noconfirm", "--needed"],
        software_vulkan: &["vulkan-swrast", "vulkan-icd-loader"],
        virtual_screen: &[
            "xorg-server-xvfb",
            "libx11",
            "libxcursor",
            "libxi",
            "libxkbcommon-x11",
        ],
    },
];

/// What windows load by themselves, of `virtual_screen`.
const WINDOW_LIBRARIES: [&str; 5] = [
    "libX11.so.6",
    "libX11-xcb.so.1",
    "libXcursor.so.1",
    "libXi.so.6",
    "libxkbcommon-x11.so.0",
];

/// Whether windows can be shown on a screen that is not there.
pub(crate) fn has_virtual_screen() -> bool {
    is_program("Xvfb") && WINDOW_LIBRARIES.into_iter().all(is_library)
}

/// Installs what this machine's package manager calls so, after saying so.
pub(crate) fn install(
    what: &str,
    packages: fn(&PackageManager) -> &'static [&'static str],
) -> Outcome {
    let mut managers = PACKAGE_MANAGERS.iter();
    let Some(manager) = managers.find(|manager| is_program(manager.program)) else {
        let debian = packages(&PACKAGE_MANAGERS[0]).join(" ");
        return Err(format!(
            "no package manager that is known here (apt-get, dnf, pacman) was found; install {what} \
             (on Debian {debian}), then try again"
        ));
    };
    let packages = packages(manager);
    let by_hand = format!(
        "{} {} {}",
        manager.program,
        manager.install.join(" "),
        packages.join(" ")
    );
    if !is_root() && !is_program("sudo") {
        return Err(format!(
            "{what} needs to be installed by root, and there is no sudo; run as root: {by_hand}"
        ));
    }
    println!("xtask: installing {what}: {by_hand}");
    if let Some(refresh) = manager.refresh
        && !as_root(manager.program, refresh)?
    {
        println!("xtask: not every package list could be refreshed; trying all the same");
    }
    match as_root(manager.program, &[manager.install, packages].concat())? {
        true => Ok(()),
        false => Err(format!("the installation failed; run as root: {by_hand}")),
    }
}

/// Runs a program as root without questions; whether it succeeded.
fn as_root(program: &str, arguments: &[&str]) -> Outcome<bool> {
    // `env` because sudo keeps variables of ours away from the program.
    let command_line = ["env", "DEBIAN_FRONTEND=noninteractive", program];
    let mut words = if is_root() { vec![] } else { vec!["sudo"] };
    words.extend(command_line);
    words.extend(arguments);
    let status = Command::new(words[0]).args(&words[1..]).status();
    let status = status.map_err(|failure| format!("cannot run {}: {failure}", words[0]))?;
    Ok(status.success())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").stderr(Stdio::null()).output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Whether a program is in the search path.
fn is_program(name: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

/// Whether the dynamic linker would find a library.
pub(crate) fn is_library(name: &str) -> bool {
    let library_path = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    if env::split_paths(&library_path).any(|folder| folder.join(name).exists()) {
        return true;
    }
    // `ldconfig` stands outside of a plain user's PATH on Debian.
    let lists_it = |program: &str| {
        let output = Command::new(program)
            .arg("-p")
            .stderr(Stdio::null())
            .output();
        output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(name))
    };
    ["ldconfig", "/sbin/ldconfig"].into_iter().any(lists_it)
        || system_library_folders().any(|folder| folder.join(name).exists())
}

fn system_library_folders() -> impl Iterator<Item = PathBuf> {
    let multiarch = format!("/usr/lib/{}-linux-gnu", env::consts::ARCH);
    [
        multiarch.as_str(),
        "/usr/lib64",
        "/usr/lib",
        "/usr/local/lib",
        "/lib",
    ]
    .map(PathBuf::from)
    .into_iter()
}
