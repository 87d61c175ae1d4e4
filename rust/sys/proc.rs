// SPDX-License-Identifier: GPL-2.0

//! Files in `/proc/net`: what they are called, who may read them, and how they are read, by way of
//! the kernel's `seq_file`.
//!
//! An open file holds neither the module nor its namespace. `/proc` lets no entry go while one of the
//! functions below runs for it, and closes those that are open; [`Files`] takes them out before what
//! they show goes.

use super::{
    bindings::{
        self,
        proc_dir_entry, //
    },
    declared,
    netns::Net, //
};
use crate::listing::{
    End,
    Listing,
    Page,
    Reading, //
};
use core::{
    fmt,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::{
    bindings::{
        __seq_open_private,
        loff_t,
        seq_file,
        seq_operations,
        SEQ_SKIP, //
    },
    prelude::*, //
};

/// The folder in `/proc/net` that most files are in.
const FOLDER: &CStr = c"ipsec";

/// Where a file is.
enum Place {
    /// In `/proc/net`.
    Net,
    /// In [`FOLDER`].
    Folder,
    /// In a folder of its own in there.
    Below(&'static CStr),
}

/// A file, and the link to it in `/proc/net` if it is not there itself.
struct Entry {
    listing: Listing,
    place: Place,
    name: &'static CStr,
    mode: u16,
    link: Option<(&'static CStr, &'static CStr)>,
}

/// All files. Who may read those that tell who talks to whom is the superuser alone.
const ENTRIES: [Entry; Listing::ALL.len()] = [
    Entry {
        listing: Listing::SpiGrp,
        place: Place::Below(c"spigrp"),
        name: c"all",
        mode: 0o400,
        link: Some((c"ipsec_spigrp", c"ipsec/spigrp/all")),
    },
    Entry {
        listing: Listing::Spi,
        place: Place::Below(c"spi"),
        name: c"all",
        mode: 0o400,
        link: Some((c"ipsec_spi", c"ipsec/spi/all")),
    },
    Entry {
        listing: Listing::Eroute,
        place: Place::Below(c"eroute"),
        name: c"all",
        mode: 0o400,
        link: Some((c"ipsec_eroute", c"ipsec/eroute/all")),
    },
    Entry {
        listing: Listing::ErouteDropped,
        // In the folder of the one before.
        place: Place::Folder,
        name: c"eroute/dropped",
        mode: 0o400,
        link: None,
    },
    Entry {
        listing: Listing::Tncfg,
        place: Place::Folder,
        name: c"tncfg",
        mode: 0o400,
        link: Some((c"ipsec_tncfg", c"ipsec/tncfg")),
    },
    Entry {
        listing: Listing::NatT,
        place: Place::Folder,
        name: c"natt",
        mode: 0o400,
        link: None,
    },
    Entry {
        listing: Listing::TrapCount,
        place: Place::Below(c"stats"),
        name: c"trap_count",
        mode: 0o400,
        link: None,
    },
    Entry {
        listing: Listing::TrapSendCount,
        // In the folder of the one before.
        place: Place::Folder,
        name: c"stats/trap_sendcount",
        mode: 0o400,
        link: None,
    },
    Entry {
        listing: Listing::Version,
        place: Place::Folder,
        name: c"version",
        mode: 0o444,
        link: Some((c"ipsec_version", c"ipsec/version")),
    },
    Entry {
        listing: Listing::KlipsDebug,
        place: Place::Folder,
        name: c"klipsdebug",
        mode: 0o400,
        link: Some((c"ipsec_klipsdebug", c"ipsec/klipsdebug")),
    },
    Entry {
        listing: Listing::PfKey,
        place: Place::Net,
        name: c"pf_key",
        mode: 0o444,
        link: None,
    },
    Entry {
        listing: Listing::PfKeyRegistered,
        place: Place::Net,
        name: c"pf_key_registered",
        mode: 0o444,
        link: None,
    },
    Entry {
        listing: Listing::PfKeySupported,
        place: Place::Net,
        name: c"pf_key_supported",
        mode: 0o444,
        link: None,
    },
];

/// What an entry of `/proc` refers to.
struct File {
    net: NonNull<Net>,
    listing: Listing,
}

/// The files of a namespace. Dropping it takes them out and waits for whoever reads them.
///
/// # Invariants
///
/// `proc_net` is the folder of a namespace that is there. Entries refer to elements of `files`, which
/// never move, and these to a [`Net`] that outlives this object.
pub(super) struct Files {
    proc_net: *mut proc_dir_entry,
    files: KVec<File>,
}

impl Files {
    /// Makes the files of a namespace, all or none.
    ///
    /// # Safety
    ///
    /// `net` stays where it is as long as the object that is made.
    pub(super) unsafe fn new(net: &Net) -> Result<Self> {
        // INVARIANT: The namespace is there, and there are no entries yet.
        let mut files = Files {
            // SAFETY: `net` holds a valid namespace.
            proc_net: unsafe { bindings::klips_proc_net(net.as_ptr()) },
            files: KVec::with_capacity(ENTRIES.len(), GFP_KERNEL_ACCOUNT)?,
        };
        let folder = files.mkdir(net, files.proc_net, FOLDER)?;
        for entry in &ENTRIES {
            files.create(net, folder, entry)?;
        }
        Ok(files)
    }

    fn mkdir(
        &self,
        net: &Net,
        parent: *mut proc_dir_entry,
        name: &CStr,
    ) -> Result<*mut proc_dir_entry> {
        // SAFETY: The namespace is there, and so is the folder: it is removed with this object.
        let folder =
            unsafe { bindings::klips_proc_mkdir(net.as_ptr(), parent, name.as_char_ptr()) };
        if folder.is_null() {
            Err(ENOMEM)
        } else {
            Ok(folder)
        }
    }

    fn create(&mut self, net: &Net, folder: *mut proc_dir_entry, entry: &Entry) -> Result {
        let parent = match entry.place {
            Place::Net => self.proc_net,
            Place::Folder => folder,
            Place::Below(name) => self.mkdir(net, folder, name)?,
        };
        let file = File {
            net: net.into(),
            listing: entry.listing,
        };
        // INVARIANT: There is room for all of them, so the others don't move.
        self.files.push_within_capacity(file).map_err(|_| ENOMEM)?;
        let data = self.files.last().map_or(ptr::null(), ptr::from_ref);
        let name = entry.name.as_char_ptr();
        // SAFETY: The folder is there, and the data stay until the entry has been removed.
        let mut made = unsafe {
            bindings::klips_proc_create(parent, name, entry.mode, data.cast_mut().cast())
        };
        if let Some((link, target)) = entry.link {
            // SAFETY: The folder is there as long as the namespace.
            made &= unsafe {
                bindings::klips_proc_symlink(
                    self.proc_net,
                    link.as_char_ptr(),
                    target.as_char_ptr(),
                )
            };
        }
        if made {
            Ok(())
        } else {
            Err(ENOMEM)
        }
    }

    fn remove(&self, name: &CStr) {
        // SAFETY: By the type invariant the folder is there.
        unsafe { bindings::klips_proc_remove(self.proc_net, name.as_char_ptr()) };
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for entry in &ENTRIES {
            match (entry.link, &entry.place) {
                (Some((link, _)), _) => self.remove(link),
                (None, Place::Net) => self.remove(entry.name),
                (None, Place::Folder | Place::Below(_)) => (),
            }
        }
        self.remove(FOLDER);
    }
}

/// An open file: the private data of its `seq_file`, which are freed without being dropped.
struct Reader {
    net: NonNull<Net>,
    listing: Listing,
    reading: Reading,
}

const _: () = assert!(!core::mem::needs_drop::<Reader>());

static OPERATIONS: seq_operations = seq_operations {
    start: Some(start),
    stop: Some(stop),
    next: Some(next),
    show: Some(show),
};

declared!(klips_proc_open);

/// Opens a file.
///
/// # Safety
///
/// `file` is being opened, and `data` are those of its entry, which is not removed meanwhile.
#[no_mangle]
unsafe extern "C" fn klips_proc_open(file: *mut bindings::file, data: *mut c_void) -> c_int {
    // SAFETY: `Files` has given this to all entries, and keeps it until they have been removed.
    let File { net, listing } = unsafe { &*data.cast::<File>() };
    // CAST: the same structure of C.
    // SAFETY: The caller promises that `file` is being opened; the operations are for such data.
    let reader = unsafe {
        __seq_open_private(
            file.cast(),
            &OPERATIONS,
            const { size_of::<Reader>() as c_int },
        )
    };
    if reader.is_null() {
        return ENOMEM.to_errno();
    }
    // SAFETY: These are as many bytes as were asked for, aligned for anything.
    unsafe {
        reader.cast::<Reader>().write(Reader {
            net: *net,
            listing: *listing,
            reading: Reading::new(),
        });
    }
    0
}

/// The reader of a file, and how much of it has been read.
///
/// # Safety
///
/// `m` is a `seq_file` that [`klips_proc_open`] has opened, and is locked during `'a`.
unsafe fn reader<'a>(m: *mut seq_file) -> (&'a mut Reader, u64) {
    // SAFETY: The caller promises that it is one of ours, and ours alone now.
    let m = unsafe { &*m };
    // CAST: nothing reads backwards.
    // SAFETY: As above.
    (
        unsafe { &mut *m.private.cast::<Reader>() },
        m.read_pos as u64,
    )
}

/// # Safety
///
/// As for [`reader`]; `pos` may be read and written.
unsafe extern "C" fn start(m: *mut seq_file, pos: *mut loff_t) -> *mut c_void {
    // SAFETY: The caller promises it.
    let (reader, read) = unsafe { reader(m) };
    // SAFETY: The caller promises it.
    let pos = unsafe { &mut *pos };
    // CAST: no position is negative, or so large.
    match reader.reading.start(*pos as u64, read) {
        Some(position) => {
            *pos = position as loff_t;
            ptr::from_mut(reader).cast()
        }
        None => ptr::null_mut(),
    }
}

/// # Safety
///
/// As for [`start`].
unsafe extern "C" fn next(m: *mut seq_file, v: *mut c_void, pos: *mut loff_t) -> *mut c_void {
    // SAFETY: The caller promises it.
    let (reader, read) = unsafe { reader(m) };
    // SAFETY: The caller promises it.
    let pos = unsafe { &mut *pos };
    // CAST: no position is negative, or so large.
    let (position, goes_on) = reader.reading.next(*pos as u64, read);
    *pos = position as loff_t;
    if goes_on {
        v
    } else {
        ptr::null_mut()
    }
}

extern "C" fn stop(_m: *mut seq_file, _v: *mut c_void) {}

/// Fills the rest of the buffer.
///
/// # Safety
///
/// As for [`reader`].
unsafe extern "C" fn show(m: *mut seq_file, _v: *mut c_void) -> c_int {
    // SAFETY: The caller promises it.
    let (reader, _) = unsafe { reader(m) };
    // SAFETY: What a file shows is there until its entry is removed, which has to wait for this.
    let net = unsafe { reader.net.as_ref() };
    // SAFETY: The caller promises it.
    let mut page = unsafe { SeqPage::of(m) };
    // SAFETY: The caller promises it. CAST: no position is negative.
    let position = unsafe { (*m).index } as u64;
    let end = reader
        .listing
        .page(net, position, reader.reading.until(), &mut page);
    reader.reading.shown(&end, position);
    if matches!(end, End::TooSmall) {
        page.overflow();
        0
    } else if page.written() == 0 {
        SEQ_SKIP as c_int
    } else {
        0
    }
}

/// The free part of a `seq_file`'s buffer. What has been written is part of the file once this is
/// dropped.
///
/// # Invariants
///
/// `m` is valid and nobody else uses it; of `size` bytes all but the last `free <= size` have been
/// written, and those can be, at `end`.
struct SeqPage {
    m: *mut seq_file,
    size: usize,
    end: *mut u8,
    free: usize,
    overflown: bool,
}

impl SeqPage {
    /// The free part of the buffer of `m`.
    ///
    /// # Safety
    ///
    /// `m` is valid, and nobody else uses it as long as the object that is made.
    unsafe fn of(m: *mut seq_file) -> Self {
        // SAFETY: The caller promises that `m` is valid.
        let (buffer, size, count) = unsafe { ((*m).buf, (*m).size, (*m).count) };
        let free = size - count;
        // INVARIANT: So much is free, and nothing has been written.
        SeqPage {
            m,
            size: free,
            // SAFETY: `seq_file` counts no more than there is.
            end: unsafe { buffer.add(count) }.cast(),
            free,
            overflown: false,
        }
    }

    /// Asks to be called again with a larger buffer.
    fn overflow(mut self) {
        self.overflown = true;
    }
}

impl fmt::Write for SeqPage {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let free = self.free.checked_sub(text.len()).ok_or(fmt::Error)?;
        // SAFETY: By the type invariant, and as was just asked, there is room; no text is there.
        unsafe {
            self.end.copy_from_nonoverlapping(text.as_ptr(), text.len());
        }
        // SAFETY: No more than there was room for.
        self.end = unsafe { self.end.add(text.len()) };
        // INVARIANT: These are written now.
        self.free = free;
        Ok(())
    }
}

impl Page for SeqPage {
    fn written(&self) -> usize {
        self.size - self.free
    }

    fn truncate(&mut self, len: usize) {
        if let Some(back) = self.written().checked_sub(len) {
            // SAFETY: By the type invariant so many bytes have been written before `end`.
            self.end = unsafe { self.end.sub(back) };
            // INVARIANT: These may be written anew.
            self.free += back;
        }
    }
}

impl Drop for SeqPage {
    fn drop(&mut self) {
        // A full buffer is how `seq_file` tells that something did not fit.
        let written = if self.overflown {
            self.size
        } else {
            self.written()
        };
        // SAFETY: By the type invariant `m` is valid, and so much has been written.
        unsafe { (*self.m).count += written };
    }
}
