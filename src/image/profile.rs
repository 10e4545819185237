//! The name of a colour profile (ICC.1:2022, §7.3 and §9.2.41; ICC.1:2001-04, §6.5.17).

/// The header, and the number of tags after it.
const HEADER_BYTES: usize = 128;
/// A tag's signature, offset and length.
const TAG_BYTES: usize = 12;
/// The most characters of a name that are shown.
const SHOWN_CHARS: usize = 60;

/// The name of a profile that is not sRGB.
pub(super) fn other_than_srgb(profile: &[u8]) -> Option<String> {
    let name = description(profile).unwrap_or_else(|| "without a name".into());
    let name: String = name.trim().chars().take(SHOWN_CHARS).collect();
    let is_srgb = name.to_lowercase().replace(' ', "").contains("srgb");
    (!is_srgb).then_some(name)
}

/// What a profile calls itself; `None` where it is damaged or of a kind of its own.
fn description(profile: &[u8]) -> Option<String> {
    let tags = profile.get(HEADER_BYTES..)?;
    let count = number(tags, 0)?;
    let mut tags = tags.get(4..)?.chunks_exact(TAG_BYTES).take(count);
    let tag = tags.find(|tag| tag.starts_with(b"desc"))?;
    let (start, length) = (number(tag, 4)?, number(tag, 8)?);
    let value = profile.get(start..start.checked_add(length)?)?;
    match value.get(..4)? {
        // A length with the NUL at its end, then ASCII.
        b"desc" => {
            let length = number(value, 8)?;
            let text = value.get(12..12_usize.checked_add(length)?)?;
            let text = text.split(|byte| *byte == 0).next()?;
            Some(String::from_utf8_lossy(text).into_owned())
        }
        // A number of records, their length, and in the first: language, country, length, offset.
        b"mluc" => {
            let (length, start) = (number(value, 20)?, number(value, 24)?);
            let text = value.get(start..start.checked_add(length)?)?;
            let (units, _) = text.as_chunks::<2>();
            let units: Vec<u16> = units.iter().map(|unit| u16::from_be_bytes(*unit)).collect();
            Some(String::from_utf16_lossy(&units))
        }
        _ => None,
    }
}

/// A number of 32 bits at a place.
fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..)?.first_chunk::<4>()?;
    usize::try_from(u32::from_be_bytes(*bytes)).ok()
}
