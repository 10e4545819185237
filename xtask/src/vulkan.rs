//! Vulkan on Linux: whether a driver is installed, and the software one where there is none.
//!
//! A driver announces itself to Vulkan's loader by a JSON file in a known folder:
//! <https://github.com/KhronosGroup/Vulkan-Loader/blob/main/docs/LoaderDriverInterface.md>

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Outcome, packages};

/// The file that every program on Vulkan loads.
const LOADER: &str = "libvulkan.so.1";

/// Whether Vulkan's loader and at least one driver are there.
pub(crate) fn is_installed() -> bool {
    packages::is_library(LOADER) && !drivers().is_empty()
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
    packages::install("software Vulkan", |manager| manager.software_vulkan)?;
    if is_installed() {
        Ok(())
    } else {
        Err(
            "the packages are installed, but no Vulkan driver appeared; see `vulkaninfo`"
                .to_owned(),
        )
    }
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
