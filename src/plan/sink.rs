//! The rule that selections sink: where an operation works on each row alone, the row may be chosen
//! after it as well as before, op(x[i]) = op(x)[i]. Then the operation on all rows can be hoisted.

use super::phase::is_constant;
use crate::tensor::{MAX_RANK, Node, NodeId, NodeKind, Op, Recording, Rows, Shape, View};
use std::sync::Arc;

/// The same recording with every selection from a constant value as late as can be.
pub(super) fn sink_selections(recording: Recording) -> Recording {
    let mut sunk = Sinking::default();
    for node in &recording.nodes {
        let value = sunk.value(node);
        sunk.values.push(value);
    }
    let mut ends = |ends: Vec<(String, NodeId)>| -> Vec<(String, NodeId)> {
        let ends = ends.into_iter();
        ends.map(|(name, id)| (name, sunk.node(id))).collect()
    };
    Recording {
        outputs: ends(recording.outputs),
        feedback: ends(recording.feedback),
        nodes: sunk.nodes,
    }
}

/// A recording under way to another.
#[derive(Default)]
struct Sinking {
    nodes: Vec<Node>,
    /// For each of the new nodes, whether it is the same in every step.
    constant: Vec<bool>,
    /// What became of each of the old nodes.
    values: Vec<Value>,
}

/// A value of the old recording in the new one.
#[derive(Clone)]
enum Value {
    /// A node.
    Made(NodeId),
    /// A row of a constant node, yet to be selected.
    Sinking(Selection),
}

#[derive(Clone)]
struct Selection {
    /// The operation that selects.
    op: Arc<dyn Op>,
    /// All rows.
    table: NodeId,
    /// What else the operation reads.
    others: Vec<NodeId>,
    /// The row.
    row: Node,
}

impl Sinking {
    fn value(&mut self, node: &Node) -> Value {
        match &node.kind {
            NodeKind::Op(op, inputs) => self.sink(node, op, inputs).unwrap_or_else(|| {
                let inputs = inputs.iter().map(|&input| self.node(input)).collect();
                let kind = NodeKind::Op(Arc::clone(op), inputs);
                Value::Made(self.push(Node {
                    kind,
                    ..node.clone()
                }))
            }),
            NodeKind::Reshape(of) => match self.values[*of].clone() {
                Value::Sinking(selection) if node.view.shape.rank() < MAX_RANK => {
                    let table = self.reshaped(selection.table, node.view.shape);
                    Value::Sinking(selection.of(table, node))
                }
                _ => {
                    let kind = NodeKind::Reshape(self.node(*of));
                    Value::Made(self.push(Node {
                        kind,
                        ..node.clone()
                    }))
                }
            },
            NodeKind::Input(..) | NodeKind::Param(_) => Value::Made(self.push(node.clone())),
        }
    }

    /// A selection, or an operation on one that works on each row alone; `None` where the node stays
    /// as it is.
    fn sink(&mut self, node: &Node, op: &Arc<dyn Op>, inputs: &[NodeId]) -> Option<Value> {
        let (&first, others) = inputs.split_first()?;
        let made = |&id: &NodeId| match self.values[id] {
            Value::Made(id) => Some(id),
            Value::Sinking(_) => None,
        };
        let others: Vec<NodeId> = others.iter().map(made).collect::<Option<_>>()?;
        let rows = op.rows();
        match self.values[first].clone() {
            Value::Made(table) if matches!(rows, Rows::Selected(_)) && self.constant[table] => {
                Some(Value::Sinking(Selection {
                    op: Arc::clone(op),
                    table,
                    others,
                    row: node.clone(),
                }))
            }
            Value::Sinking(selection) => {
                let constant = others.iter().all(|&other| self.constant[other]);
                let fits = node.view.shape.rank() < MAX_RANK;
                if !constant || !fits || !matches!(rows, Rows::Leading | Rows::Broadcast) {
                    return None;
                }
                let mut inputs = vec![selection.table];
                for other in others {
                    inputs.push(match rows {
                        Rows::Broadcast => self.reshaped_to_one_row(other),
                        _ => other,
                    });
                }
                let rows = self.nodes[selection.table].view.shape.dim(0);
                let view = View {
                    shape: node.view.shape.with_leading(rows),
                    ..node.view
                };
                let kind = NodeKind::Op(Arc::clone(op), inputs);
                let scope = Arc::clone(&node.scope);
                let table = self.push(Node { kind, view, scope });
                Some(Value::Sinking(selection.of(table, node)))
            }
            Value::Made(_) => None,
        }
    }

    /// The node that holds an old node's value: a selection is made now, once for all who ask.
    fn node(&mut self, old: NodeId) -> NodeId {
        match self.values[old].clone() {
            Value::Made(id) => id,
            Value::Sinking(Selection {
                op,
                table,
                others,
                row,
            }) => {
                let inputs = [table].into_iter().chain(others).collect();
                let kind = NodeKind::Op(op, inputs);
                let id = self.push(Node { kind, ..row });
                self.values[old] = Value::Made(id);
                id
            }
        }
    }

    /// `[R, ..]` → `[R, shape]`
    fn reshaped(&mut self, table: NodeId, shape: Shape) -> NodeId {
        let rows = self.nodes[table].view.shape.dim(0);
        self.reshape(table, shape.with_leading(rows))
    }

    /// `[..]` → `[1, ..]`
    fn reshaped_to_one_row(&mut self, other: NodeId) -> NodeId {
        self.reshape(other, self.nodes[other].view.shape.with_leading(1))
    }

    fn reshape(&mut self, of: NodeId, shape: Shape) -> NodeId {
        let Node { view, scope, .. } = self.nodes[of].clone();
        self.push(Node {
            kind: NodeKind::Reshape(of),
            view: View { shape, ..view },
            scope,
        })
    }

    fn push(&mut self, node: Node) -> NodeId {
        self.constant.push(is_constant(&node.kind, &self.constant));
        self.nodes.push(node);
        self.nodes.len() - 1
    }
}

impl Selection {
    /// The same choice among the rows of another table, as the value of `node`.
    fn of(self, table: NodeId, node: &Node) -> Self {
        Self {
            table,
            row: node.clone(),
            ..self
        }
    }
}
