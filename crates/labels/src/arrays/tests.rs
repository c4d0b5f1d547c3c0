use super::*;

/// Writes a `.npy` file (format 1.0) of the given type string; `values` in the order of the file.
fn write_npy(path: &Path, kind: &str, fortran_order: bool, shape: &[u64], values: &[f64]) {
    let shape: String = shape.iter().map(|size| format!("{size}, ")).collect();
    let order = if fortran_order { "True" } else { "False" };
    let header = format!("{{'descr': '{kind}', 'fortran_order': {order}, 'shape': ({shape}), }}");
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    bytes.extend(format!("{header:<117}\n").bytes());
    for &value in values {
        let mut number = match &kind[1..] {
            "f2" => f16::from_f64(value).to_le_bytes().to_vec(),
            "f4" => (value as f32).to_le_bytes().to_vec(),
            "f8" => value.to_le_bytes().to_vec(),
            whole => (value as i64).to_le_bytes()[..whole[1..].parse().unwrap()].to_vec(),
        };
        if kind.starts_with('>') {
            number.reverse();
        }
        bytes.extend(number);
    }
    std::fs::write(path, bytes).unwrap();
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn numpy_files_of_either_order_and_endianness_read_alike() {
    let folder = folder();
    let path = folder.path().join("scores.npy");
    let in_order = [1.0, 2.0, 3.0, 4.0, 5.0, 6.5];
    for (kind, fortran_order, values) in [
        ("<f2", false, in_order),
        ("<f4", false, in_order),
        (">f4", false, in_order),
        ("<f8", false, in_order),
        (">f8", true, [1.0, 4.0, 2.0, 5.0, 3.0, 6.5]),
    ] {
        write_npy(&path, kind, fortran_order, &[2, 3], &values);
        let matrix = read_matrix(&path).unwrap();
        assert_eq!((matrix.rows, matrix.cols), (2, 3));
        assert_eq!(matrix.values, [1.0, 2.0, 3.0, 4.0, 5.0, 6.5], "{kind} {fortran_order}");
    }
}

#[test]
fn a_file_that_is_cut_while_it_is_read_is_an_error() {
    let folder = folder();
    let path = folder.path().join("a.npy");
    npy::write(&path, &[0.5; 3000], &[3, 1000]).unwrap();
    let array = ArrayFile::open(&path, "features").unwrap();
    let mut row = vec![0.0; 1000];
    array.read_row(2, &mut row).unwrap();
    File::options().write(true).open(&path).unwrap().set_len(6000).unwrap();
    let error = array.read_row(2, &mut row).unwrap_err();
    assert!(matches!(error, Error::Io { .. }) && error.to_string().contains("a.npy"), "{error}");
    array.read_row(0, &mut row).unwrap();
}

#[test]
fn rows_of_several_axes_are_the_same_in_either_order() {
    let folder = folder();
    let path = folder.path().join("f.npy");
    // numpy: a[n, d, h, w] = 1000n + 100d + 10h + w of shape (2, 3, 2, 2).
    let value = |n: usize, d: usize, h: usize, w: usize| (1000 * n + 100 * d + 10 * h + w) as f64;
    let c_order: Vec<f64> =
        (0..12).flat_map(|i| (0..2).map(move |w| value(i / 6, i / 2 % 3, i % 2, w))).collect();
    let fortran: Vec<f64> =
        (0..12).flat_map(|i| (0..2).map(move |n| value(n, i % 3, i / 3 % 2, i / 6))).collect();
    let expected: Vec<f32> = c_order[12..].iter().map(|&value| value as f32).collect();
    for (fortran_order, values) in [(false, &c_order), (true, &fortran)] {
        write_npy(&path, "<f8", fortran_order, &[2, 3, 2, 2], values);
        let maps = ArrayFile::open(&path, "features").unwrap();
        let mut row = vec![0.0; 12];
        maps.read_row(1, &mut row).unwrap();
        assert_eq!((maps.shape(), &row), (&[2, 3, 2, 2][..], &expected), "Fortran order: {fortran_order}");
    }
}

#[test]
fn whole_numbers_are_read_as_arrays_of_labels_hold_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.npy");
    for (kind, lowest) in [("|i1", -1.0), ("|u1", 200.0), ("<i4", -1.0), (">i4", -1.0), ("<i8", -1.0)] {
        write_npy(&path, kind, false, &[2, 2], &[1.0, lowest, 0.0, 1.0]);
        assert_eq!(read_matrix(&path).unwrap().values, [1.0, lowest as f32, 0.0, 1.0], "{kind}");
    }
}

/// A file of named tensors `[2, 2]`.
fn write_safetensors(path: &Path, tensors: &[(&str, Dtype, Vec<u8>)]) {
    let views = tensors.iter().map(|(name, kind, bytes)| {
        (*name, safetensors::tensor::TensorView::new(*kind, vec![2, 2], bytes).unwrap())
    });
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

fn floats(values: [f32; 4]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn a_safetensors_file_has_one_tensor_or_one_of_the_wanted_name() {
    let folder = folder();
    let path = folder.path().join("f.safetensors");
    let second_row = |name: &str| {
        let mut row = [0.0; 2];
        ArrayFile::open(&path, name).and_then(|array| array.read_row(1, &mut row)).map(|()| row)
    };
    let first = ("any", Dtype::F32, floats([1.0, 2.0, 3.0, 4.0]));
    write_safetensors(&path, std::slice::from_ref(&first));
    assert_eq!(second_row("features").unwrap(), [3.0, 4.0]);
    write_safetensors(&path, &[first, ("features", Dtype::F32, floats([5.0, 6.0, 7.0, 8.0]))]);
    assert_eq!(second_row("features").unwrap(), [7.0, 8.0]);
    let message = second_row("scores").unwrap_err().to_string();
    let expected = "holds 2 tensors, such as [\"any\", \"features\"]; expected one, or one called \"scores\"";
    assert!(message.ends_with(expected), "{message}");
}

#[test]
fn safetensors_of_every_number_are_read() {
    let folder = folder();
    let path = folder.path().join("f.safetensors");
    let values = [0i8, 1, 2, 3];
    let of = |bytes: &dyn Fn(i8) -> Vec<u8>| values.iter().flat_map(|&value| bytes(value)).collect();
    for (kind, bytes) in [
        (Dtype::F16, of(&|value| f16::from_f32(value.into()).to_le_bytes().to_vec())),
        (Dtype::BF16, of(&|value| bf16::from_f32(value.into()).to_le_bytes().to_vec())),
        (Dtype::F32, of(&|value| f32::from(value).to_le_bytes().to_vec())),
        (Dtype::F64, of(&|value| f64::from(value).to_le_bytes().to_vec())),
        (Dtype::I8, of(&|value| vec![value as u8])),
        (Dtype::U8, of(&|value| vec![value as u8])),
        (Dtype::I32, of(&|value| i32::from(value).to_le_bytes().to_vec())),
        (Dtype::I64, of(&|value| i64::from(value).to_le_bytes().to_vec())),
    ] {
        write_safetensors(&path, &[("scores", kind, bytes)]);
        assert_eq!(read_matrix(&path).unwrap().values, [0.0, 1.0, 2.0, 3.0], "{kind:?}");
    }
    write_safetensors(&path, &[("scores", Dtype::I16, vec![0; 8])]);
    let message = read_matrix(&path).unwrap_err().to_string();
    assert!(message.contains("holds numbers of type I16; expected float16"), "{message}");
}

#[test]
fn numpy_files_that_do_not_fit_are_refused_with_what_is_accepted() {
    let folder = folder();
    let path = folder.path().join("a.npy");
    let message = || read_matrix(&path).unwrap_err().to_string();
    write_npy(&path, "<c8", false, &[2, 1], &[1.0, 2.0]);
    assert!(message().contains("expected float16, float32, float64"), "{}", message());
    write_npy(&path, "<f4", false, &[2], &[1.0, 2.0]);
    assert!(message().contains("expected two axes"), "{}", message());
    write_npy(&path, "<f4", false, &[0, 2], &[]);
    assert!(message().contains("at least one row"), "{}", message());
    write_npy(&path, "<f4", false, &[2, 2], &[1.0, 2.0, f64::NAN, 4.0]);
    assert!(message().contains("row 1, value 0"), "{}", message());
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(message().contains("cut short"), "{}", message());
    for bytes in [&b""[..], b"hello", &whole[..20]] {
        std::fs::write(&path, bytes).unwrap();
        assert!(message().contains("no NumPy array"), "{}", message());
    }
    assert!(matches!(read_matrix(&folder.path().join("b.npy")), Err(Error::Missing(_))));
    // Found by fuzzing: nested brackets took hours, and a long header gigabytes.
    std::fs::write(&path, [&b"\x93NUMPY\x01\x00\x50\x00{'descr': "[..], &[b'['; 70]].concat()).unwrap();
    assert!(message().contains("holds records"), "{}", message());
    std::fs::write(&path, b"\x93NUMPY\x02\x00\xff\xff\xff\x7f{'descr': '<f4'}").unwrap();
    assert!(message().contains("no NumPy array"), "{}", message());
    assert!(matches!(read_matrix(&folder.path().join("b.txt")), Err(Error::Missing(_))));
}
