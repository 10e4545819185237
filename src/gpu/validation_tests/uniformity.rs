//! Whether barriers stand where all invocations of a workgroup meet.
//!
//! naga notes what barriers ask for and does not check it; a barrier that some invocations miss
//! hangs one driver and goes unnoticed on another. What is not provably the same for the whole
//! workgroup is taken to differ, as in the WGSL specification, § 15.2. Calls are followed with what
//! is known of their arguments.

use naga::{
    AddressSpace, Binding, Block, BuiltIn, Expression, Function, Handle, LocalVariable, Module,
    Statement, StorageAccess,
};
use std::collections::HashSet;

/// Whether every barrier of the entry point is met by all invocations or by none.
pub(super) fn barriers_are_uniform(module: &Module) -> bool {
    let function = &module.entry_points[0].function;
    let same = function.arguments.iter().map(|argument| {
        let per_workgroup = [
            BuiltIn::WorkGroupId,
            BuiltIn::NumWorkGroups,
            BuiltIn::NumSubgroups,
        ];
        matches!(argument.binding, Some(Binding::BuiltIn(builtin)) if per_workgroup.contains(&builtin))
    });
    !analyse(module, function, same.collect()).missed_barrier
}

/// What a call does.
#[derive(Clone, Copy)]
struct Summary {
    has_barrier: bool,
    missed_barrier: bool,
    result_differs: bool,
}

/// Which invocations do not go on to the next statement, though others do.
#[derive(Clone, Copy, Default, PartialEq)]
struct Absent {
    /// Those that left the loop, its turn, or the switch.
    left: bool,
    /// Those that returned.
    returned: bool,
}

/// One function under given arguments.
struct Analysis<'m> {
    module: &'m Module,
    function: &'m Function,
    /// For each argument, whether it is the same for the whole workgroup.
    same: Vec<bool>,
    locals: HashSet<Handle<LocalVariable>>,
    /// Results of calls that differ between invocations.
    results: HashSet<Handle<Expression>>,
    summary: Summary,
}

fn analyse(module: &Module, function: &Function, same: Vec<bool>) -> Summary {
    let mut analysis = Analysis {
        module,
        function,
        same,
        locals: HashSet::new(),
        results: HashSet::new(),
        summary: Summary {
            has_barrier: false,
            missed_barrier: false,
            result_differs: false,
        },
    };
    // What differs in one turn of a loop may make more differ in the next.
    loop {
        let known = (analysis.locals.len(), analysis.results.len());
        analysis.block(&function.body, false);
        if known == (analysis.locals.len(), analysis.results.len()) {
            return analysis.summary;
        }
    }
}

impl Analysis<'_> {
    /// Goes through `block`, which not all invocations enter if `apart`.
    fn block(&mut self, block: &Block, apart: bool) -> Absent {
        let mut absent = Absent::default();
        for statement in block {
            let apart = apart || absent != Absent::default();
            let more = self.statement(statement, apart);
            absent.left |= more.left;
            absent.returned |= more.returned;
        }
        absent
    }

    fn statement(&mut self, statement: &Statement, apart: bool) -> Absent {
        match statement {
            Statement::Block(block) => return self.block(block, apart),
            Statement::If {
                condition,
                accept,
                reject,
            } => {
                let apart = apart || self.differs(*condition);
                let (accept, reject) = (self.block(accept, apart), self.block(reject, apart));
                return Absent {
                    left: accept.left || reject.left,
                    returned: accept.returned || reject.returned,
                };
            }
            Statement::Switch { selector, cases } => {
                let apart = apart || self.differs(*selector);
                let mut absent = Absent::default();
                for case in cases {
                    let case = self.block(&case.body, apart);
                    absent.left |= case.left; // more than need be: a `break` leaves the switch only
                    absent.returned |= case.returned;
                }
                return absent;
            }
            Statement::Loop {
                body,
                continuing,
                break_if,
            } => return self.turns(body, continuing, *break_if, apart),
            Statement::Break | Statement::Continue => {
                return Absent {
                    left: apart,
                    returned: false,
                };
            }
            Statement::Return { value } => {
                self.summary.result_differs |=
                    apart || value.is_some_and(|value| self.differs(value));
                return Absent {
                    left: false,
                    returned: apart,
                };
            }
            Statement::ControlBarrier(_) | Statement::WorkGroupUniformLoad { .. } => {
                self.barrier(apart)
            }
            Statement::Store { pointer, value }
                if apart || self.differs(*value) || self.differs(*pointer) =>
            {
                self.locals.extend(self.local_behind(*pointer));
            }
            Statement::Call {
                function,
                arguments,
                result,
            } => self.call(*function, arguments, *result, apart),
            _ => {}
        }
        Absent::default()
    }

    /// A loop. Once some invocations leave earlier than others, so it is in every turn.
    fn turns(
        &mut self,
        body: &Block,
        continuing: &Block,
        break_if: Option<Handle<Expression>>,
        apart: bool,
    ) -> Absent {
        let mut absent = self.block(body, apart);
        let ends_apart = break_if.is_some_and(|condition| self.differs(condition));
        let some_left = absent != Absent::default() || ends_apart;
        self.block(continuing, apart || some_left);
        if some_left && !apart {
            absent = self.block(body, true);
        }
        Absent {
            left: false,
            returned: absent.returned,
        }
    }

    fn call(
        &mut self,
        function: Handle<Function>,
        arguments: &[Handle<Expression>],
        result: Option<Handle<Expression>>,
        apart: bool,
    ) {
        let same = arguments.iter().map(|argument| !self.differs(*argument));
        let summary = analyse(
            self.module,
            &self.module.functions[function],
            same.collect(),
        );
        self.summary.missed_barrier |= summary.missed_barrier;
        if summary.has_barrier {
            self.barrier(apart);
        }
        if summary.result_differs {
            self.results.extend(result);
        }
        for argument in arguments {
            self.locals.extend(self.local_behind(*argument)); // given by pointer
        }
    }

    fn barrier(&mut self, apart: bool) {
        self.summary.has_barrier = true;
        self.summary.missed_barrier |= apart;
    }

    /// The local variable that a pointer points into.
    fn local_behind(&self, pointer: Handle<Expression>) -> Option<Handle<LocalVariable>> {
        match self.function.expressions[pointer] {
            Expression::LocalVariable(local) => Some(local),
            Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => {
                self.local_behind(base)
            }
            _ => None,
        }
    }

    /// Whether a value, or what a pointer leads to, may differ between invocations.
    fn differs(&self, expression: Handle<Expression>) -> bool {
        let any = |parts: &[Handle<Expression>]| parts.iter().any(|part| self.differs(*part));
        match &self.function.expressions[expression] {
            Expression::Literal(_) | Expression::Constant(_) | Expression::ZeroValue(_) => false,
            Expression::WorkGroupUniformLoadResult { .. } | Expression::ArrayLength(_) => false,
            Expression::FunctionArgument(place) => !self.same[*place as usize],
            Expression::LocalVariable(local) => self.locals.contains(local),
            Expression::CallResult(_) => self.results.contains(&expression),
            Expression::GlobalVariable(variable) => {
                match self.module.global_variables[*variable].space {
                    AddressSpace::Uniform => false,
                    AddressSpace::Storage { access } => access.contains(StorageAccess::STORE),
                    _ => true,
                }
            }
            Expression::Load { pointer } => self.differs(*pointer),
            Expression::Compose { components, .. } => any(components),
            Expression::Access { base, index } => any(&[*base, *index]),
            Expression::AccessIndex { base, .. } => self.differs(*base),
            Expression::Splat { value, .. } => self.differs(*value),
            Expression::Swizzle { vector, .. } => self.differs(*vector),
            Expression::Unary { expr, .. } | Expression::As { expr, .. } => self.differs(*expr),
            Expression::Binary { left, right, .. } => any(&[*left, *right]),
            Expression::Select {
                condition,
                accept,
                reject,
            } => any(&[*condition, *accept, *reject]),
            Expression::Relational { argument, .. } => self.differs(*argument),
            Expression::Math {
                arg,
                arg1,
                arg2,
                arg3,
                ..
            } => [Some(*arg), *arg1, *arg2, *arg3]
                .into_iter()
                .flatten()
                .any(|part| self.differs(part)),
            _ => true,
        }
    }
}
