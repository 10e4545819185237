//! The recorder: collects nodes while model code runs, and keeps the first error.

use super::{Checked, DType, Op, Param, Shape, Tensor, View, Wrap};
use crate::error::{Error, Result};
use std::cell::RefCell;
use std::sync::Arc;

/// The number of a node in its recording.
pub(crate) type NodeId = usize;

/// How often a caller writes an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cadence {
    /// Once for many steps: what depends on such inputs alone is computed when one is written.
    Run,
    /// Before any step.
    Step,
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub(crate) enum NodeKind {
    /// Written by the caller, so often.
    Input(String, Cadence),
    /// A weight of the checkpoint.
    Param(Param),
    /// The result of an operation.
    Op(Arc<dyn Op>, Vec<NodeId>),
    /// Another node's elements under another shape.
    Reshape(NodeId),
}

/// One value of a recording.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Where the value comes from.
    pub(crate) kind: NodeKind,
    /// Its shape and type.
    pub(crate) view: View,
    /// The weight or block in whose neighbourhood it was recorded.
    pub(crate) scope: Arc<str>,
}

/// Collects what model code does, to be lowered to a plan.
#[derive(Debug)]
pub(crate) struct Recorder {
    compute: DType,
    wrap: Wrap,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    nodes: Vec<Node>,
    outputs: Vec<(String, NodeId)>,
    feedback: Vec<(String, NodeId)>,
    scope: Arc<str>,
    error: Option<Error>,
    /// How many norms there are that share their moments, in a recording where they do.
    shared_norms: Option<usize>,
}

/// A finished recording: nodes in the order of computation, and the names of its ends.
#[derive(Clone, Debug)]
pub(crate) struct Recording {
    pub(crate) nodes: Vec<Node>,
    pub(crate) outputs: Vec<(String, NodeId)>,
    /// Inputs that a run leaves with a new value, as `(input, node)`: what a step hands to the next.
    pub(crate) feedback: Vec<(String, NodeId)>,
}

impl Recorder {
    /// An empty recorder whose activations are stored as `compute`: f32 or f16.
    pub(crate) fn new(compute: DType) -> Self {
        Self {
            compute,
            wrap: Wrap::NONE,
            state: RefCell::default(),
        }
    }

    /// The same for pictures whose edges join.
    pub(crate) fn wrapping(self, wrap: Wrap) -> Self {
        Self { wrap, ..self }
    }

    /// Which edges of pictures join.
    pub(crate) fn wrap(&self) -> Wrap {
        self.wrap
    }

    /// The same, but its group norms tell their moments and take those that the caller gives.
    pub(crate) fn sharing_norms(self) -> Self {
        self.state.borrow_mut().shared_norms = Some(0);
        self
    }

    /// The number of the next group norm, where they share their moments.
    pub(crate) fn next_shared_norm(&self) -> Option<usize> {
        let mut state = self.state.borrow_mut();
        let norms = state.shared_norms.as_mut()?;
        *norms += 1;
        Some(*norms - 1)
    }

    /// The type in which activations are stored.
    pub(crate) fn compute(&self) -> DType {
        self.compute
    }

    /// A value that the caller writes before any step.
    pub(crate) fn input(&self, name: &str, shape: impl Into<Shape>, dtype: DType) -> Tensor<'_> {
        self.input_of(name, Cadence::Step, shape.into(), dtype)
    }

    /// A value that the caller writes once for many steps.
    pub(crate) fn input_per_run(
        &self,
        name: &str,
        shape: impl Into<Shape>,
        dtype: DType,
    ) -> Tensor<'_> {
        self.input_of(name, Cadence::Run, shape.into(), dtype)
    }

    fn input_of(&self, name: &str, cadence: Cadence, shape: Shape, dtype: DType) -> Tensor<'_> {
        let kind = NodeKind::Input(name.to_owned(), cadence);
        self.push(kind, View { shape, dtype })
    }

    /// A weight as a value.
    pub(crate) fn param(&self, param: &Param) -> Tensor<'_> {
        let view = View {
            shape: param.shape,
            dtype: param.dtype,
        };
        self.push(NodeKind::Param(param.clone()), view)
    }

    /// Names a value that the caller reads after a run.
    pub(crate) fn output(&self, name: &str, value: Tensor<'_>) {
        self.state
            .borrow_mut()
            .outputs
            .push((name.to_owned(), value.id));
    }

    /// After each run, the input `input` holds `value`: how a step hands its state to the next.
    pub(crate) fn feed_back(&self, input: &str, value: Tensor<'_>) {
        self.state
            .borrow_mut()
            .feedback
            .push((input.to_owned(), value.id));
    }

    /// Says where the model code is, for messages: the name of the weight about to be used.
    pub(crate) fn at(&self, scope: &str) {
        self.state.borrow_mut().scope = Arc::from(scope);
    }

    /// Ends the recording.
    ///
    /// # Errors
    /// [`Error::Record`] with the place, if an operation was given shapes that do not fit.
    pub(crate) fn finish(self) -> Result<Recording> {
        let State {
            nodes,
            outputs,
            feedback,
            error,
            ..
        } = self.state.into_inner();
        match error {
            Some(error) => Err(error),
            None => Ok(Recording {
                nodes,
                outputs,
                feedback,
            }),
        }
    }

    pub(super) fn view(&self, id: NodeId) -> View {
        self.state.borrow().nodes[id].view
    }

    pub(super) fn record(&self, op: impl Op + 'static, inputs: Vec<NodeId>) -> Tensor<'_> {
        let views: Vec<View> = inputs.iter().map(|&id| self.view(id)).collect();
        let shapes: Vec<Shape> = views.iter().map(|view| view.shape).collect();
        let dtypes: Vec<DType> = views.iter().map(|view| view.dtype).collect();
        let shape = self.checked(op.name(), op.shape(&shapes), shapes[0]);
        let view = View {
            shape,
            dtype: op.dtype(&dtypes),
        };
        self.push(NodeKind::Op(Arc::new(op), inputs), view)
    }

    pub(super) fn reshape<'g>(&'g self, value: Tensor<'g>, shape: Shape) -> Tensor<'g> {
        let from = self.view(value.id);
        let fits = if from.shape.len() == shape.len() {
            Ok(shape)
        } else {
            Err(format!(
                "{} does not have the elements of {shape}",
                from.shape
            ))
        };
        let shape = self.checked("reshape", fits, from.shape);
        let view = View { shape, ..from };
        self.push(NodeKind::Reshape(value.id), view)
    }

    /// The shape, or after noting the first error, some shape to go on with.
    fn checked(&self, op: &str, shape: Checked<Shape>, otherwise: Shape) -> Shape {
        shape.unwrap_or_else(|reason| {
            let mut state = self.state.borrow_mut();
            let scope = state.scope.to_string();
            state.error.get_or_insert(Error::Record {
                scope,
                reason: format!("{op}: {reason}"),
            });
            otherwise
        })
    }

    fn push(&self, kind: NodeKind, view: View) -> Tensor<'_> {
        let mut state = self.state.borrow_mut();
        let scope = state.scope.clone();
        state.nodes.push(Node { kind, view, scope });
        Tensor {
            recorder: self,
            id: state.nodes.len() - 1,
        }
    }
}
