//! A network as a graph in ONNX form (operator set 18), built layer by layer: what `sarb export` writes.
//!
//! Every layer, backbone and method has an `export` beside its `forward` that adds its nodes. Sizes are those of one
//! image; the first axis, the batch, stays open. What no output needs is left out of the file, so a part that is seldom
//! asked for, such as attention, costs nothing.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::Tensor;

/// Something that is computed for every image, or a constant.
#[derive(Debug, Clone)]
pub struct Value {
    pub(super) name: String,
    axes: Vec<usize>,
    is_constant: bool,
}

impl Value {
    /// Sizes after the batch; of a constant, all of its sizes.
    pub fn axes(&self) -> &[usize] {
        &self.axes
    }

    /// The sizes, where their number is known.
    ///
    /// # Panics
    /// If there are not N of them.
    pub fn sizes<const N: usize>(&self) -> [usize; N] {
        self.axes.as_slice().try_into().expect("a layer knows the number of its axes")
    }
}

/// A setting of a node.
#[derive(Debug)]
pub(super) enum Setting {
    Int(i64),
    Ints(Vec<i64>),
}

/// One operator.
#[derive(Debug)]
pub(super) struct Node {
    pub name: String,
    pub operator: &'static str,
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub settings: Vec<(&'static str, Setting)>,
}

/// Numbers that are in the file, in the machine's own order.
#[derive(Debug, PartialEq)]
pub(super) enum Numbers {
    Floats(Vec<f32>),
    Integers(Vec<i64>),
}

/// A constant.
#[derive(Debug)]
pub(super) struct Constant {
    pub name: String,
    pub shape: Vec<usize>,
    pub numbers: Numbers,
}

/// How the window of a convolution or a pooling moves.
#[derive(Debug, Clone, Copy)]
pub struct Sliding {
    /// Rows and columns of the window.
    pub kernel: usize,
    /// Step between positions.
    pub stride: usize,
    /// Zeros before and after the rows, and before and after the columns.
    pub padding: [(usize, usize); 2],
    /// Groups of channels that do not see each other.
    pub groups: usize,
}

/// A graph that grows.
#[derive(Debug, Default)]
pub struct Graph {
    pub(super) inputs: Vec<Value>,
    pub(super) nodes: Vec<Node>,
    pub(super) constants: Vec<Constant>,
    /// Where each constant is.
    places: BTreeMap<String, usize>,
    names: BTreeSet<String>,
    scope: Vec<String>,
}

impl Graph {
    /// An input `[batch, axes…]`.
    pub fn input(&mut self, name: &str, axes: &[usize]) -> Value {
        let input = Value { name: self.unique(name), axes: axes.to_vec(), is_constant: false };
        self.inputs.push(input.clone());
        input
    }

    /// What `build` adds is called `scope.…`.
    pub fn within<T>(&mut self, scope: &str, build: impl FnOnce(&mut Self) -> T) -> T {
        self.scope.push(scope.to_owned());
        let built = build(self);
        self.scope.pop();
        built
    }

    /// A constant of floats, row by row. The same one is kept once, whoever asks for it again.
    pub fn constant(&mut self, name: &str, shape: &[usize], values: Vec<f32>) -> Value {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "{name}: values of another shape");
        self.numbers(name, shape, Numbers::Floats(values))
    }

    /// A tensor as it is now.
    pub fn tensor<const D: usize>(&mut self, name: &str, tensor: Tensor<D>) -> Value {
        let shape = tensor.dims();
        let values = tensor.into_data().try_into_vec::<f32>().expect("weights are f32 tensors");
        self.constant(name, &shape, values)
    }

    fn integers(&mut self, name: &str, values: Vec<i64>) -> Value {
        self.numbers(name, &[values.len()], Numbers::Integers(values))
    }

    fn numbers(&mut self, name: &str, shape: &[usize], numbers: Numbers) -> Value {
        let full = self.full(name);
        if let Some(&place) = self.places.get(&full) {
            let known = &self.constants[place];
            if known.shape == shape && known.numbers == numbers {
                return Value { name: known.name.clone(), axes: shape.to_vec(), is_constant: true };
            }
        }
        let name = self.unique(name);
        self.places.insert(full, self.constants.len());
        self.constants.push(Constant { name: name.clone(), shape: shape.to_vec(), numbers });
        Value { name, axes: shape.to_vec(), is_constant: true }
    }

    fn full(&self, name: &str) -> String {
        self.scope.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join(".")
    }

    /// A name that is not there yet.
    fn unique(&mut self, name: &str) -> String {
        let full = self.full(name);
        let numbered = (2..).map(|number| format!("{full}_{number}"));
        let free = std::iter::once(full.clone()).chain(numbered).find(|name| !self.names.contains(name));
        let free = free.expect("numbers do not end");
        self.names.insert(free.clone());
        free
    }

    /// Adds an operator of one output.
    fn node(
        &mut self,
        operator: &'static str,
        inputs: &[&Value],
        settings: Vec<(&'static str, Setting)>,
        axes: Vec<usize>,
    ) -> Value {
        let name = self.unique(operator);
        let inputs = inputs.iter().map(|input| input.name.clone()).collect();
        self.nodes.push(Node { name: name.clone(), operator, inputs, outputs: vec![name.clone()], settings });
        Value { name, axes, is_constant: false }
    }

    /// Each element by itself: an operator such as `Sigmoid`, `Tanh`, `Sqrt`, `Relu`.
    pub fn each(&mut self, operator: &'static str, x: &Value) -> Value {
        self.node(operator, &[x], Vec::new(), x.axes.clone())
    }

    /// x within `least` and, where there is one, `most`.
    pub fn clamp(&mut self, x: &Value, least: f32, most: f32) -> Value {
        let bounds = [least, most].map(|bound| self.constant(&format!("bound_{bound}"), &[], vec![bound]));
        self.node("Clip", &[x, &bounds[0], &bounds[1]], Vec::new(), x.axes.clone())
    }

    /// `Add`, `Sub`, `Mul` or `Div`; axes of one are repeated.
    pub fn both(&mut self, operator: &'static str, a: &Value, b: &Value) -> Value {
        let (long, short) = if a.axes.len() >= b.axes.len() { (a, b) } else { (b, a) };
        let mut axes = long.axes.clone();
        for (size, other) in axes.iter_mut().rev().zip(short.axes.iter().rev()) {
            assert!(*size == *other || *size == 1 || *other == 1, "{:?} and {:?}", a.axes, b.axes);
            *size = (*size).max(*other);
        }
        self.node(operator, &[a, b], Vec::new(), axes)
    }

    /// x times a number.
    pub fn scaled(&mut self, x: &Value, factor: f32) -> Value {
        let factor = self.constant(&format!("factor_{factor}"), &[], vec![factor]);
        self.both("Mul", x, &factor)
    }

    /// The product of matrices, `[…, N, K], [K, M] -> […, N, M]`; either may be the constant.
    pub fn product(&mut self, a: &Value, b: &Value) -> Value {
        let columns = *b.axes.last().expect("a matrix");
        // One row for each image where `a` has one axis: then the batch counts the rows.
        let mut axes =
            if b.is_constant || a.axes.len() == b.axes.len() { a.axes.clone() } else { b.axes.clone() };
        if let (true, [.., rows, _]) = (a.is_constant, &a.axes[..]) {
            let at = axes.len() - 2;
            axes[at] = *rows;
        }
        *axes.last_mut().expect("a matrix") = columns;
        self.node("MatMul", &[a, b], Vec::new(), axes)
    }

    /// x W + b of the last axis, with constants of these names.
    pub fn linear(&mut self, name: &str, x: &Value, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Value {
        self.within(name, |graph| {
            let weight = graph.tensor("weight", weight);
            let product = graph.product(x, &weight);
            match bias {
                Some(bias) => {
                    let bias = graph.tensor("bias", bias);
                    graph.both("Add", &product, &bias)
                }
                None => product,
            }
        })
    }

    /// `ReduceMean`, `ReduceMax` or `ReduceSum` over some axes, which are gone afterwards.
    pub fn over(&mut self, operator: &'static str, x: &Value, axes: &[usize]) -> Value {
        let left = x.axes.iter().enumerate().filter(|(axis, _)| !axes.contains(axis));
        let left = left.map(|(_, size)| *size).collect();
        let axes = self.axes_constant(axes);
        self.node(operator, &[x, &axes], vec![("keepdims", Setting::Int(0))], left)
    }

    /// The numbers of axes as ONNX counts them, the batch as the first.
    fn axes_constant(&mut self, axes: &[usize]) -> Value {
        let said: Vec<String> = axes.iter().map(|axis| (axis + 1).to_string()).collect();
        self.integers(&format!("axes_{}", said.join("_")), axes.iter().map(|&axis| axis as i64 + 1).collect())
    }

    /// Softmax along an axis.
    pub fn softmax(&mut self, x: &Value, axis: usize) -> Value {
        self.node("Softmax", &[x], vec![("axis", Setting::Int(axis as i64 + 1))], x.axes.clone())
    }

    /// Axes in another order.
    pub fn transposed(&mut self, x: &Value, order: &[usize]) -> Value {
        let axes = order.iter().map(|&axis| x.axes[axis]).collect();
        let order = std::iter::once(0).chain(order.iter().map(|&axis| axis as i64 + 1)).collect();
        self.node("Transpose", &[x], vec![("perm", Setting::Ints(order))], axes)
    }

    /// The same elements in another shape.
    pub fn reshaped(&mut self, x: &Value, axes: &[usize]) -> Value {
        assert_eq!(x.axes.iter().product::<usize>(), axes.iter().product::<usize>(), "{:?}", x.axes);
        let said: Vec<String> = axes.iter().map(ToString::to_string).collect();
        let shape = std::iter::once(-1).chain(axes.iter().map(|&size| size as i64)).collect();
        let shape = self.integers(&format!("shape_{}", said.join("_")), shape);
        self.node("Reshape", &[x, &shape], Vec::new(), axes.to_vec())
    }

    /// Several beside each other along an axis.
    pub fn concatenated(&mut self, values: &[Value], axis: usize) -> Value {
        let mut axes = values[0].axes.clone();
        axes[axis] = values.iter().map(|value| value.axes[axis]).sum();
        let values: Vec<&Value> = values.iter().collect();
        self.node("Concat", &values, vec![("axis", Setting::Int(axis as i64 + 1))], axes)
    }

    /// The `count` largest along the last axis, the largest first.
    pub fn largest(&mut self, x: &Value, count: usize) -> Value {
        let wanted = self.integers(&format!("count_{count}"), vec![count as i64]);
        let mut axes = x.axes.clone();
        *axes.last_mut().expect("an axis") = count;
        let values = self.node("TopK", &[x, &wanted], vec![("axis", Setting::Int(-1))], axes);
        let places = self.unique("TopK_places");
        self.nodes.last_mut().expect("just added").outputs.push(places);
        values
    }

    /// The elements of an axis from the last to the first.
    pub fn reversed(&mut self, x: &Value, axis: usize) -> Value {
        let size = x.axes[axis];
        let order = self.integers(&format!("reversed_{size}"), (0..size as i64).rev().collect());
        self.node("Gather", &[x, &order], vec![("axis", Setting::Int(axis as i64 + 1))], x.axes.clone())
    }

    /// A convolution of `[in, H, W]` with filters `[out, in / groups, k, k]` and biases `[out]`.
    pub fn convolution(&mut self, x: &Value, filters: &Value, bias: Option<&Value>, how: Sliding) -> Value {
        let outputs = filters.axes[0];
        let mut settings = sliding(how);
        settings.push(("group", Setting::Int(how.groups as i64)));
        let inputs: Vec<&Value> = [x, filters].into_iter().chain(bias).collect();
        self.node("Conv", &inputs, settings, slid(x, how, outputs))
    }

    /// `MaxPool` or `AveragePool` of `[C, H, W]`; what is left of an incomplete window is dropped.
    pub fn pooled(&mut self, operator: &'static str, x: &Value, how: Sliding) -> Value {
        self.node(operator, &[x], sliding(how), slid(x, how, x.axes[0]))
    }

    /// Calls a value otherwise.
    pub fn rename(&mut self, value: &Value, name: &str) -> Value {
        for node in &mut self.nodes {
            let names = node.inputs.iter_mut().chain(&mut node.outputs);
            names.filter(|it| **it == value.name).for_each(|it| *it = name.to_owned());
        }
        Value { name: name.to_owned(), ..value.clone() }
    }

    /// Drops every node and constant that none of these values needs.
    pub(super) fn keep(&mut self, outputs: &[Value]) {
        let mut needed: BTreeSet<String> = outputs.iter().map(|output| output.name.clone()).collect();
        let nodes = std::mem::take(&mut self.nodes).into_iter().rev().filter(|node| {
            let kept = node.outputs.iter().any(|output| needed.contains(output));
            if kept {
                needed.extend(node.inputs.iter().cloned());
            }
            kept
        });
        self.nodes = nodes.collect();
        self.nodes.reverse();
        self.constants.retain(|constant| needed.contains(&constant.name));
    }
}

fn sliding(how: Sliding) -> Vec<(&'static str, Setting)> {
    let [(top, bottom), (left, right)] = how.padding;
    let twice = |size: usize| Setting::Ints(vec![size as i64; 2]);
    let pads = [top, left, bottom, right].map(|size| size as i64).to_vec();
    vec![("kernel_shape", twice(how.kernel)), ("strides", twice(how.stride)), ("pads", Setting::Ints(pads))]
}

/// Sizes after a window has moved over `[_, H, W]`.
fn slid(x: &Value, how: Sliding, channels: usize) -> Vec<usize> {
    let [_, height, width] = x.sizes();
    let positions =
        |size: usize, (before, after): (usize, usize)| (size + before + after - how.kernel) / how.stride + 1;
    vec![channels, positions(height, how.padding[0]), positions(width, how.padding[1])]
}
