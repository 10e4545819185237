//! Vulkan on Linux: whether a driver is installed, and how to install the software one.
//!
//! A driver announces itself to Vulkan's loader by a JSON file in a known folder:
//! <https://github.com/KhronosGroup/Vulkan-Loader/blob/main/docs/LoaderDriverInterface.md>

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Outcome;

/// The file that every program on Vulkan loads.
const LOADER: &str = "libvulkan.so.1";

/// How a package manager installs software Vulkan.
struct PackageManager {
    program: &'static str,
    /// Brings the list of packages up to date; may fail where one of many sources is down.
    refresh: Option<&'static [&'static str]>,
    install: &'static [&'static str],
    /// The driver and the loader.
    packages: [&'static str; 2],
}

const PACKAGE_MANAGERS: [PackageManager; 3] = [
    PackageManager {
        program: "apt-get",
        refresh: Some(&["update"]),
        install: &["install", "--yes", "--no-install-recommends"],
        packages: ["mesa-vulkan-drivers", "libvulkan1"],
    },
    PackageManager {
        program: "dnf",
        refresh: None,
        install: &["install", "--assumeyes"],
        packages: ["mesa-vulkan-drivers", "vulkan-loader"],
    },
    PackageManager {
        program: "pacman",
        refresh: None,
        // A fresh container has no package lists; refreshing them is part of the same command.
        install: &["-Sy", "--noconfirm", "--needed"],
        packages: ["vulkan-swrast", "vulkan-icd-loader"],
    },
];

/// Whether Vulkan's loader and at least one driver are there.
pub(crate) fn is_installed() -> bool {
    has_loader() && !drivers().is_empty()
}

/// Whether software Vulkan (Mesa's lavapipe) is there, which answers on every machine.
pub(crate) fn has_software() -> bool {
    let is_lavapipe = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with("lvp_icd")
    };
    drivers().iter().any(is_lavapipe)
}

/// Installs software Vulkan, after saying so.
pub(crate) fn install_software() -> Outcome {
    let Some(manager) = PACKAGE_MANAGERS
        .iter()
        .find(|manager| is_program(manager.program))
    else {
        return Err(format!(
            "no package manager that is known here (apt-get, dnf, pacman) was found; install \
             Mesa's Vulkan drivers with lavapipe, and the loader {LOADER}, then try again"
        ));
    };
    let packages = manager.packages.join(" ");
    let by_hand = format!(
        "{} {} {packages}",
        manager.program,
        manager.install.join(" ")
    );
    if !is_root() && !is_program("sudo") {
        return Err(format!(
            "software Vulkan needs to be installed by root, and there is no sudo; \
             run as root: {by_hand}"
        ));
    }
    println!("xtask: installing software Vulkan: {by_hand}");
    if let Some(refresh) = manager.refresh
        && !as_root(manager.program, refresh)?
    {
        println!("xtask: not every package list could be refreshed; trying all the same");
    }
    let arguments = [manager.install, &manager.packages].concat();
    if !as_root(manager.program, &arguments)? {
        return Err(format!("the installation failed; run as root: {by_hand}"));
    }
    if is_installed() {
        Ok(())
    } else {
        Err(format!(
            "{packages} are installed, but no Vulkan driver appeared; see `vulkaninfo`"
        ))
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

fn is_program(name: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

/// The files by which drivers announce themselves.
fn drivers() -> Vec<PathBuf> {
    // These replace the search, the newer name first.
    for variable in ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"] {
        if let Some(paths) = env::var_os(variable).filter(|paths| !paths.is_empty()) {
            return env::split_paths(&paths)
                .flat_map(|path| manifests(&path))
                .collect();
        }
    }
    let added = env::var_os("VK_ADD_DRIVER_FILES").unwrap_or_default();
    let folders = data_folders()
        .into_iter()
        .map(|folder| folder.join("vulkan/icd.d"));
    env::split_paths(&added)
        .chain(folders)
        .flat_map(|path| manifests(&path))
        .collect()
}

/// A manifest itself, or those in a folder.
fn manifests(path: &Path) -> Vec<PathBuf> {
    let is_manifest = |path: &PathBuf| {
        path.extension()
            .is_some_and(|extension| extension == "json")
            && path.is_file()
    };
    let Ok(entries) = fs::read_dir(path) else {
        return Some(path.to_path_buf())
            .into_iter()
            .filter(is_manifest)
            .collect();
    };
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(is_manifest)
        .collect()
}

/// Where the loader looks: the user's folders, then the system's.
fn data_folders() -> Vec<PathBuf> {
    let from = |variable: &str, default: &str| {
        let paths = env::var_os(variable).filter(|paths| !paths.is_empty());
        let paths = paths.unwrap_or_else(|| default.into());
        env::split_paths(&paths).collect::<Vec<_>>()
    };
    let home = env::home_dir().unwrap_or_default();
    let mut folders = vec![home.join(".config"), home.join(".local/share")];
    folders.extend(from("XDG_CONFIG_HOME", ""));
    folders.extend(from("XDG_DATA_HOME", ""));
    folders.extend(from("XDG_CONFIG_DIRS", "/etc/xdg"));
    folders.extend(from("XDG_DATA_DIRS", "/usr/local/share:/usr/share"));
    folders.extend(["/etc", "/usr/local/etc", "/usr/local/share", "/usr/share"].map(PathBuf::from));
    folders
}

/// Whether the dynamic linker would find Vulkan's loader.
fn has_loader() -> bool {
    let library_path = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    if env::split_paths(&library_path).any(|folder| folder.join(LOADER).exists()) {
        return true;
    }
    // `ldconfig` stands outside of a plain user's PATH on Debian.
    let lists_loader = |program: &str| {
        let output = Command::new(program)
            .arg("-p")
            .stderr(Stdio::null())
            .output();
        output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(LOADER))
    };
    ["ldconfig", "/sbin/ldconfig"].into_iter().any(lists_loader)
        || system_library_folders().any(|folder| folder.join(LOADER).exists())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_files_announce_drivers() {
        let folder = env::temp_dir().join(format!("aquatint-xtask-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for name in ["lvp_icd.x86_64.json", "README"] {
            fs::write(folder.join(name), "{}").unwrap();
        }
        let found = manifests(&folder);
        let single = manifests(&folder.join("README"));
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found, [folder.join("lvp_icd.x86_64.json")]);
        assert!(single.is_empty());
    }

    #[test]
    fn a_missing_folder_announces_nothing() {
        assert!(manifests(Path::new("/no/such/folder")).is_empty());
    }
}
