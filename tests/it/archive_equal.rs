//! Random archives, written by the `zip` crate: extracted by this crate they give what the `zip` crate's own
//! serial extraction gives.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Cursor, Read, Write};

use proptest::prelude::*;
use squarecloud_blocking::{Archive, ExtractOptions, Source};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use crate::raw_zip::{Dribble, Tree, tree};

#[derive(Clone, Debug)]
struct Made {
    content: Vec<u8>,
    stored: bool,
    large: bool,
    mode: u32,
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => proptest::collection::vec(any::<u8>(), 0..300),
        3 => ("[a-z ]{1,20}", 0usize..2000).prop_map(|(text, n)| text.repeat(n).into_bytes()),
        1 => (any::<u8>(), 262_100usize..262_200).prop_map(|(byte, n)| (0..n).map(|i| byte ^ (i % 251) as u8).collect()),
    ]
}

fn made() -> impl Strategy<Value = BTreeMap<String, Made>> {
    let one =
        (content(), any::<bool>(), any::<bool>(), prop_oneof![Just(0o644), Just(0o755), Just(0o600), Just(0o444)])
            .prop_map(|(content, stored, large, mode)| Made { content, stored, large, mode });
    // Letters for directories and digits for files: no file is another's parent.
    proptest::collection::btree_map("([a-cé]{1,3}/){0,4}[0-9 ]{1,6}", one, 0..40)
}

fn written(files: &BTreeMap<String, Made>, streamed: bool) -> Vec<u8> {
    fn write<W: Write + std::io::Seek>(mut writer: ZipWriter<W>, files: &BTreeMap<String, Made>) -> W {
        for (i, (name, made)) in files.iter().enumerate() {
            let method = if made.stored { CompressionMethod::Stored } else { CompressionMethod::Deflated };
            let options = SimpleFileOptions::default()
                .compression_method(method)
                .large_file(made.large)
                .unix_permissions(made.mode)
                .last_modified_time(DateTime::from_date_and_time(2020, 1 + (i % 12) as u8, 5, 6, 7, 8).unwrap());
            if let Some((dir, _)) = name.rsplit_once('/')
                && i % 3 == 0
            {
                // May be there twice.
                let _ = writer.add_directory(dir, SimpleFileOptions::default());
            }
            writer.start_file(name.as_str(), options).unwrap();
            writer.write_all(&made.content).unwrap();
        }
        writer.finish().unwrap()
    }
    if streamed {
        write(ZipWriter::new_stream(Vec::new()), files).into_inner()
    } else {
        write(ZipWriter::new(Cursor::new(Vec::new())), files).into_inner()
    }
}

fn equal<S: Source>(archive: &Archive<S>, files: &BTreeMap<String, Made>, threads: usize, want: &Tree) {
    let out = tempfile::tempdir().unwrap();
    let target = out.path().join("t");
    let extracted =
        archive.extract_with(&target, &ExtractOptions::new().threads(threads).verify(threads == 4)).unwrap();
    assert!(&tree(&target) == want, "the trees differ");
    assert_eq!(extracted.files, files.len());
    #[cfg(unix)]
    for (name, made) in files {
        use std::os::unix::fs::PermissionsExt;
        let metadata = fs::metadata(target.join(name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o700, made.mode & 0o700, "{name}");
        let at = archive.entry(name).unwrap().modified().unwrap().assume_utc();
        assert_eq!(metadata.modified().unwrap(), std::time::SystemTime::from(at), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn extraction_equals_the_zip_crate_s(files in made(), streamed: bool) {
        let bytes = written(&files, streamed);
        let out = tempfile::tempdir().unwrap();
        let theirs = out.path().join("theirs");
        fs::create_dir(&theirs).unwrap();
        ZipArchive::new(Cursor::new(&bytes)).unwrap().extract(&theirs).unwrap();
        let want = tree(&theirs);
        let path = out.path().join("a.zip");
        fs::write(&path, &bytes).unwrap();
        let archive: Archive<File> = Archive::open(&path).unwrap();
        equal(&archive, &files, 1, &want);
        equal(&archive, &files, 4, &want);
        let archive = Archive::new(bytes.clone()).unwrap();
        equal(&archive, &files, 1, &want);
        equal(&archive, &files, 4, &want);
        let verified = archive.verify().unwrap();
        prop_assert!(verified.is_ok(), "{:?}", verified.bad);
        for (name, made) in &files {
            prop_assert_eq!(&archive.read(name).unwrap(), &made.content);
            let mut streamed = Vec::new();
            archive.reader(name).unwrap().read_to_end(&mut streamed).unwrap();
            prop_assert_eq!(&streamed, &made.content);
            let mut copied = Vec::new();
            prop_assert_eq!(archive.copy(name, &mut copied).unwrap(), made.content.len() as u64);
            prop_assert_eq!(&copied, &made.content);
        }
        #[cfg(unix)]
        {
            let ahead = Archive::new(crate::archive_ahead::Told::new(&bytes)).unwrap();
            equal(&ahead, &files, 4, &want);
            prop_assert!(ahead.verify().unwrap().is_ok());
            prop_assert_eq!(ahead.source().untold(), 0);
        }
        if bytes.len() < 20_000 {
            equal(&Archive::new(Dribble(bytes)).unwrap(), &files, 4, &want);
        }
    }
}
