// moments — means and squares about them, of what the invocations of a workgroup of SIZE saw, joined.
// Each keeps an entry for each component of its lanes. Entries are joined about their common mean, so that nothing
// cancels. WIDE tells whether the rows of a table are longer than a workgroup.
// source: Chan, Golub & LeVeque 1983 (doi 10.1080/00031305.1983.10483115)

const ENTRIES = SIZE * LANES;
/// What each invocation saw of each component of its lanes: how many values, their mean and squares about it.
var<workgroup> counts: array<f32, ENTRIES>;
var<workgroup> means: array<f32, ENTRIES>;
var<workgroup> squares: array<f32, ENTRIES>;

struct Entry { count: f32, mean: f32, squares: f32 }

fn keep(at: u32, entry: Entry) {
    counts[at] = entry.count;
    means[at] = entry.mean;
    squares[at] = entry.squares;
}

/// So many entries as one, each `stride` behind the one before.
fn joined(first: u32, stride: u32, number: u32) -> Entry {
    let shift = means[first];
    var count = 0.0;
    var sum = 0.0;
    for (var k = 0u; k < number; k++) {
        let at = first + k * stride;
        count += counts[at];
        sum += counts[at] * (means[at] - shift);
    }
    let mean = shift + sum / max(count, 1.0);
    var about = 0.0;
    for (var k = 0u; k < number; k++) {
        let at = first + k * stride;
        let apart = means[at] - mean;
        about += squares[at] + counts[at] * apart * apart;
    }
    return Entry(count, mean, about);
}

/// How an invocation goes through a table: down a column of it, or along the rows where they are WIDE, longer than a
/// workgroup. A constant says which, since CPUs would take the loads of both ways.
struct Walk { row: u32, column: u32, rows: u32, columns: u32, down: u32, along: u32 }

fn walk(rows: u32, columns: u32, invocation: u32) -> Walk {
    let busy = select(SIZE, SIZE / columns * columns, columns <= SIZE);
    let row = select(rows, invocation / columns, invocation < busy);
    return Walk(row, invocation % columns, rows, columns, busy / columns, busy % columns);
}

fn next(before: Walk) -> Walk {
    var at = before;
    at.row += at.down;
    if (!WIDE) { return at; }
    at.column += at.along;
    if (at.column >= at.columns) {
        at.column -= at.columns;
        at.row += 1u;
    }
    return at;
}
