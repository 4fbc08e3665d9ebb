//! The folder tree behind a list of paths, in the one order that the image uses.
//!
//! Sorting comes first, so that everything later (record order, cluster numbers, short names)
//! follows from the set of entries and not from the order in which the caller listed them.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::names::{self, ShortName};
use crate::{Entry, folder};

/// Most 32-byte records in one folder (fatgen103: a folder has at most 2^16 * 32 bytes).
const MAX_RECORDS: u64 = 1 << 16;

/// What a record points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Node {
    /// Index into [`Tree::folders`].
    Folder(usize),
    /// Index into [`Tree::files`].
    File(usize),
}

/// One name within a folder.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) name: String,
    pub(crate) short: ShortName,
    pub(crate) node: Node,
}

/// A folder and what it holds, sorted by folded name.
#[derive(Debug)]
pub(crate) struct Folder {
    /// Index of the folder it is in; the root's is its own, 0.
    pub(crate) parent: usize,
    /// Empty for the root.
    name: String,
    pub(crate) children: Vec<Child>,
}

/// All folders, the root first and parents before children, and the files in disk order.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) folders: Vec<Folder>,
    /// Indexes into the caller's entries.
    pub(crate) files: Vec<usize>,
}

/// What is under a name so far: (folder, folded name) -> (name, node). Ordered, so that children
/// come out sorted.
type Found = BTreeMap<(usize, String), (String, Node)>;

impl Tree {
    /// Builds the tree, checking every name.
    pub(crate) fn new(entries: &[Entry]) -> Result<Self, Error> {
        let mut files: Vec<usize> = (0..entries.len()).collect();
        files.sort_by_cached_key(|&i| (names::fold(&entries[i].path), &entries[i].path));
        let root = Folder { parent: 0, name: String::new(), children: Vec::new() };
        let mut tree = Self { folders: vec![root], files };
        let mut found = Found::new();
        for file in 0..tree.files.len() {
            tree.insert(entries, file, &mut found)?;
        }
        for ((folder, _), (name, node)) in found {
            tree.folders[folder].children.push(Child { name, short: [0; 11], node });
        }
        for folder in 0..tree.folders.len() {
            tree.name_children(folder)?;
        }
        Ok(tree)
    }

    /// Adds one file and the folders above it that are not there yet.
    fn insert(&mut self, entries: &[Entry], file: usize, found: &mut Found) -> Result<(), Error> {
        let path = &entries[self.files[file]].path;
        let mut here = 0;
        let mut end = 0;
        for name in path.split('/') {
            names::check(name).map_err(|fault| {
                let (path, name) = (path.clone(), name.into());
                Error::Name { path, name, fault }
            })?;
            end += name.len() + usize::from(end > 0);
            let last = end == path.len();
            let key = (here, names::fold(name));
            match found.get(&key).map(|(_, node)| *node) {
                None if last => {
                    found.insert(key, (name.into(), Node::File(file)));
                }
                None => {
                    let folder = Folder { parent: here, name: name.into(), children: Vec::new() };
                    here = self.folders.len();
                    self.folders.push(folder);
                    found.insert(key, (name.into(), Node::Folder(here)));
                }
                Some(Node::Folder(folder)) if !last => here = folder,
                Some(Node::File(other)) if last => {
                    let other = entries[self.files[other]].path.clone();
                    return Err(Error::Duplicate { path: path.clone(), other });
                }
                Some(_) => {
                    let folder = path[..end].to_string();
                    return Err(Error::FileAndFolder { folder, path: path.clone() });
                }
            }
        }
        Ok(())
    }

    /// Gives the children of a folder their short names, once all of them are known.
    fn name_children(&mut self, folder: usize) -> Result<(), Error> {
        let found = self.folders[folder].records();
        if found > MAX_RECORDS {
            let path = self.path(folder);
            return Err(Error::FolderFull { path, found, limit: MAX_RECORDS });
        }
        let children = &mut self.folders[folder].children;
        let all: Vec<&str> = children.iter().map(|child| child.name.as_str()).collect();
        let shorts = names::short_names(&all);
        for (child, short) in children.iter_mut().zip(shorts) {
            child.short = short;
        }
        Ok(())
    }

    fn path(&self, folder: usize) -> String {
        let up = |&at: &usize| Some(self.folders[at].parent).filter(|_| at != 0);
        let chain = std::iter::successors(Some(folder), up);
        let mut names: Vec<&str> = chain.map(|at| self.folders[at].name.as_str()).collect();
        names.pop(); // the root, which has no name
        names.reverse();
        names.join("/")
    }
}

impl Folder {
    /// 32-byte records this folder needs at most; the two are `.` and `..`, or the label.
    pub(crate) fn records(&self) -> u64 {
        2 + self.children.iter().map(|child| folder::records_for(&child.name)).sum::<u64>()
    }
}
