//! PyTorch files as `torch.save` writes them, byte by byte: a zip with `data.pkl` in protocol 2 and a file for each storage.

use std::io::Write;

use harness::tensor::Tensor;

/// What `torch.save` is given.
pub(crate) enum Pickled {
    Dict(Vec<(String, Pickled)>),
    Tensor(Tensor),
}

/// A view of a storage: its name, offset, extents and strides in elements.
pub(crate) type StorageView<'a> = (&'a str, u8, &'a [usize], &'a [usize]);

/// A file of a dictionary, each tensor with a storage of its own.
pub(crate) fn torch_zip(root: &Pickled) -> Vec<u8> {
    let mut pickle = Pickle::default();
    pickle.value(root);
    pickle.finished()
}

/// A file of a dictionary of views of one storage.
pub(crate) fn torch_zip_of_views(storage: &[f32], views: &[StorageView<'_>]) -> Vec<u8> {
    let mut pickle = Pickle::default();
    pickle.storages.push(storage.iter().flat_map(|x| x.to_le_bytes()).collect());
    pickle.ops.extend(b"}(");
    for (name, offset, shape, strides) in views {
        pickle.text(name);
        pickle.view(0, storage.len(), *offset, shape, strides);
    }
    pickle.ops.extend(b"u");
    pickle.finished()
}

#[derive(Default)]
struct Pickle {
    ops: Vec<u8>,
    storages: Vec<Vec<u8>>,
}

impl Pickle {
    fn value(&mut self, value: &Pickled) {
        match value {
            Pickled::Dict(entries) => {
                self.ops.extend(b"}("); // EMPTY_DICT MARK
                for (key, value) in entries {
                    self.text(key);
                    self.value(value);
                }
                self.ops.extend(b"u"); // SETITEMS
            }
            Pickled::Tensor(tensor) => {
                let shape = tensor.shape();
                let strides: Vec<usize> =
                    (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect();
                self.storages.push(tensor.to_f32().iter().flat_map(|x| x.to_le_bytes()).collect());
                self.view(self.storages.len() - 1, tensor.len(), 0, shape, &strides);
            }
        }
    }

    /// `torch._utils._rebuild_tensor_v2(storage, offset, shape, strides, False, OrderedDict())`
    fn view(&mut self, storage: usize, len: usize, offset: u8, shape: &[usize], strides: &[usize]) {
        self.ops.extend(b"ctorch._utils\n_rebuild_tensor_v2\n("); // GLOBAL MARK
        // The persistent id: ("storage", torch.FloatStorage, key, "cpu", element count).
        self.ops.extend(b"(");
        self.text("storage");
        self.ops.extend(b"ctorch\nFloatStorage\n");
        self.text(&storage.to_string());
        self.text("cpu");
        self.integer(len);
        self.ops.extend(b"tQ"); // TUPLE BINPERSID
        self.ops.extend([b'K', offset]); // BININT1
        for extents in [shape, strides] {
            self.ops.extend(b"(");
            extents.iter().for_each(|extent| self.integer(*extent));
            self.ops.extend(b"t");
        }
        self.ops.extend(b"\x89"); // NEWFALSE
        self.ops.extend(b"ccollections\nOrderedDict\n)R"); // GLOBAL EMPTY_TUPLE REDUCE
        self.ops.extend(b"tR"); // TUPLE REDUCE
    }

    fn text(&mut self, text: &str) {
        self.ops.push(b'X'); // BINUNICODE
        self.ops.extend((text.len() as u32).to_le_bytes());
        self.ops.extend(text.as_bytes());
    }

    fn integer(&mut self, integer: usize) {
        self.ops.push(b'J'); // BININT
        self.ops.extend((integer as i32).to_le_bytes());
    }

    fn finished(self) -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options =
            zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        let mut entry = |name: &str, bytes: &[u8]| {
            archive.start_file(format!("archive/{name}"), options).unwrap();
            archive.write_all(bytes).unwrap();
        };
        entry("data.pkl", &[b"\x80\x02", self.ops.as_slice(), b"."].concat());
        for (key, bytes) in self.storages.iter().enumerate() {
            entry(&format!("data/{key}"), bytes);
        }
        entry("version", b"3\n");
        archive.finish().unwrap().into_inner()
    }
}
