//! Lines over time as SVG: panels below each other with one axis of time, readable on light and on dark
//! paper. Plain text, no crate: the plotting crates fix colours where they draw, and cannot leave them to
//! whoever looks.
//!
//! Pure. Every point lies within the area of its panel.

use std::fmt::Write as _;

/// The whole picture.
#[derive(Debug)]
pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    /// Seconds since the beginning, of each value of each line.
    pub(super) seconds: Vec<f64>,
    pub(super) panels: Vec<Panel<'a>>,
}

/// Lines with one unit.
#[derive(Debug)]
pub(super) struct Panel<'a> {
    /// What it shows, with the unit.
    pub(super) title: &'a str,
    /// At most as many as there are colours.
    pub(super) lines: Vec<Line<'a>>,
}

/// One line.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    pub(super) values: Vec<f64>,
}

/// In units of the picture, which is scaled to where it is shown.
const WIDTH: f64 = 860.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 36.0;
const BOTTOM: f64 = 40.0;
const PANEL_HEIGHT: f64 = 150.0;
/// Between two panels, for the heading of the lower one.
const GAP: f64 = 46.0;

/// Points of one line at most: more than that are not told apart at this width. What is drawn for several
/// is their highest, for peaks are what one looks for.
const POINTS_MAX: usize = 400;

/// About how many steps an axis has.
const STEPS: f64 = 4.0;

/// The class of each line of a panel, in order.
const COLOURS: [&str; 3] = ["a", "b", "c"];

/// Colours that differ also for who does not see all of them, on white and on black.
const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#1f2328}.title{font-size:15px;font-weight:600}\
.head{font-weight:600}.end{text-anchor:end}.middle{text-anchor:middle}\
.paper{fill:#fff}.grid{stroke:#d1d9e0}tspan{fill:currentColor}\
polyline{fill:none;stroke:currentColor;stroke-width:1.5;stroke-linejoin:round}\
.a{color:#0969da}.b{color:#bc4c00}.c{color:#8250df}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.paper{fill:#0d1117}.grid{stroke:#3d444d}\
.a{color:#58a6ff}.b{color:#f0883e}.c{color:#bc8cff}}";

impl Chart<'_> {
    /// The SVG document.
    pub(super) fn draw(&self) -> String {
        let height = self.top_of(self.panels.len()) - GAP + BOTTOM;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n\
             <rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\"/>\n\
             <text class=\"title\" x=\"{LEFT}\" y=\"20\">{title}</text>\n",
            title = escaped(self.title),
        );
        for (index, panel) in self.panels.iter().enumerate() {
            self.panel(&mut svg, panel, self.top_of(index));
        }
        svg.push_str("</svg>\n");
        svg
    }

    /// Where the area of a panel begins.
    fn top_of(&self, index: usize) -> f64 {
        TOP + 24.0 + index as f64 * (PANEL_HEIGHT + GAP)
    }

    fn panel(&self, svg: &mut String, panel: &Panel<'_>, top: f64) {
        let values = panel.lines.iter().flat_map(|line| &line.values);
        let step = step(values.copied().fold(0.0, f64::max));
        let highest = values_end(panel, step);
        let bottom = top + PANEL_HEIGHT;
        let y = |value: f64| bottom - value / highest * PANEL_HEIGHT;
        let right = WIDTH - RIGHT;
        text(svg, LEFT, top - 10.0, "head", panel.title);
        let steps = (highest / step).round() as usize;
        for mark in (0..=steps).map(|mark| mark as f64 * step) {
            grid(svg, (LEFT, y(mark)), (right, y(mark)));
            let label = label(mark, step);
            text(svg, LEFT - 8.0, y(mark) + 4.0, "end", &label);
        }
        self.time(svg, top, bottom);
        let entry = |(line, colour): (&Line<'_>, &str)| {
            format!("<tspan class=\"{colour}\">■ {}</tspan>", escaped(line.name))
        };
        let legend: Vec<String> = panel.lines.iter().zip(COLOURS).map(entry).collect();
        // Spaces that are no break are not taken for one.
        marked(svg, right, top - 10.0, "end", &legend.join("\u{a0}\u{a0} "));
        for (line, colour) in panel.lines.iter().zip(COLOURS) {
            let mut points = String::new();
            for (second, value) in self.thinned(&line.values) {
                write!(points, "{:.1},{:.1} ", self.x(second), y(value))
                    .expect("a string takes all");
            }
            polyline(svg, colour, points.trim_end());
        }
    }

    /// The axis of time below a panel.
    fn time(&self, svg: &mut String, top: f64, bottom: f64) {
        let end = self.end();
        let (unit, seconds) = match end {
            7_200.0.. => ("h", 3_600.0),
            120.0.. => ("min", 60.0),
            _ => ("s", 1.0),
        };
        let step = step(end / seconds / 2.0);
        let mut mark = 0.0;
        while mark * seconds <= end {
            let x = self.x(mark * seconds);
            grid(svg, (x, top), (x, bottom));
            let label = format!("{} {unit}", label(mark, step));
            text(svg, x, bottom + 16.0, "middle", &label);
            mark += step;
        }
    }

    fn end(&self) -> f64 {
        self.seconds.last().copied().unwrap_or(0.0).max(1.0)
    }

    fn x(&self, second: f64) -> f64 {
        LEFT + second / self.end() * (WIDTH - RIGHT - LEFT)
    }

    /// At most [`POINTS_MAX`] of the values, the highest of each few.
    fn thinned(&self, values: &[f64]) -> Vec<(f64, f64)> {
        let few = values.len().div_ceil(POINTS_MAX).max(1);
        let seconds = self.seconds.chunks(few);
        let highest = |few: &[f64]| few.iter().copied().fold(0.0, f64::max);
        let points = seconds.zip(values.chunks(few));
        points
            .map(|(seconds, values)| (seconds[0], highest(values)))
            .collect()
    }
}

/// Where the axis of a panel ends: at the first step that no value is above.
fn values_end(panel: &Panel<'_>, step: f64) -> f64 {
    let values = panel.lines.iter().flat_map(|line| &line.values);
    let highest = values.copied().fold(0.0, f64::max);
    (highest / step).ceil().max(1.0) * step
}

/// One, two or five times a power of ten, [`STEPS`] of which are about `end`.
fn step(end: f64) -> f64 {
    let least = end.max(1e-3) / STEPS;
    let power = 10_f64.powf(least.log10().floor());
    let times = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|times| times * power >= least);
    times.unwrap_or(10.0) * power
}

/// With as many decimals as the step has.
fn label(mark: f64, step: f64) -> String {
    let decimals = (-step.log10()).ceil().max(0.0) as usize;
    format!("{mark:.decimals$}")
}

fn text(svg: &mut String, x: f64, y: f64, class: &str, text: &str) {
    marked(svg, x, y, class, &escaped(text));
}

/// Text that may have elements in it.
fn marked(svg: &mut String, x: f64, y: f64, class: &str, text: &str) {
    writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>"
    )
    .expect("a string takes all");
}

fn grid(svg: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
    writeln!(
        svg,
        "<line class=\"grid\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
    )
    .expect("a string takes all");
}

fn polyline(svg: &mut String, class: &str, points: &str) {
    writeln!(svg, "<polyline class=\"{class}\" points=\"{points}\"/>").expect("a string takes all");
}

fn escaped(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}

#[cfg(test)]
mod tests {
    use quick_xml::Reader;
    use quick_xml::events::Event;

    use super::*;

    fn chart(count: usize, value: impl Fn(usize) -> f64) -> String {
        let values: Vec<f64> = (0..count).map(value).collect();
        let line = |name| Line {
            name,
            values: values.clone(),
        };
        Chart {
            title: "load & <lag>",
            seconds: (1..=count).map(|second| second as f64).collect(),
            panels: vec![
                Panel {
                    title: "Memory, MB",
                    lines: vec![line("program"), line("nats-server")],
                },
                Panel {
                    title: "Lag, commits",
                    lines: vec![line("read side")],
                },
            ],
        }
        .draw()
    }

    /// Every element's attributes by name; panics where the text is not well-formed.
    fn elements(svg: &str) -> Vec<(String, Vec<(String, String)>)> {
        let mut reader = Reader::from_str(svg);
        let mut elements = Vec::new();
        let mut depth = 0;
        loop {
            let event = reader.read_event().expect("well-formed");
            let (Event::Start(element) | Event::Empty(element)) = &event else {
                match event {
                    Event::End(_) => depth -= 1,
                    Event::Eof => break,
                    _ => {}
                }
                continue;
            };
            depth += i32::from(matches!(event, Event::Start(_)));
            let attributes = element.attributes().map(|attribute| {
                let attribute = attribute.expect("well-formed");
                (
                    attribute.key.as_ref().to_owned(),
                    attribute.value.into_owned(),
                )
            });
            elements.push((element.name().as_ref().to_owned(), attributes.collect()));
        }
        assert_eq!(depth, 0, "every element is closed");
        elements
    }

    fn points(svg: &str) -> Vec<Vec<(f64, f64)>> {
        let lines = elements(svg)
            .into_iter()
            .filter(|(name, _)| name == "polyline");
        let points = lines.map(|(_, attributes)| {
            let (_, points) = attributes
                .into_iter()
                .find(|(name, _)| name == "points")
                .expect("a line has points");
            let number = |text: &str| text.parse::<f64>().expect("a number");
            let point = |pair: &str| {
                let (x, y) = pair.split_once(',').expect("a pair");
                (number(x), number(y))
            };
            points.split_whitespace().map(point).collect()
        });
        points.collect()
    }

    #[test]
    fn a_picture_is_well_formed_and_every_sample_lies_in_its_area() {
        for count in [1, 3, 300, 86_400] {
            let svg = chart(count, |index| (index % 97) as f64 * 3.7);
            let lines = points(&svg);
            assert_eq!(lines.len(), 3, "{count}");
            for (index, line) in lines.iter().enumerate() {
                assert_eq!(line.len(), count.div_ceil(count.div_ceil(POINTS_MAX)));
                let top = TOP + 24.0 + (index / 2) as f64 * (PANEL_HEIGHT + GAP);
                for (x, y) in line {
                    assert!((LEFT..=WIDTH - RIGHT).contains(x), "{x}");
                    assert!((top..=top + PANEL_HEIGHT).contains(y), "{y} of {top}");
                }
            }
        }
    }

    #[test]
    fn what_is_drawn_of_many_samples_is_their_highest() {
        let spike = |index| if index == 777 { 50.0 } else { 1.0 };
        let highest = |svg: &str| {
            let points = points(svg).into_iter().flatten();
            points.map(|(_, y)| y).fold(f64::MAX, f64::min)
        };
        assert_eq!(highest(&chart(86_400, spike)), highest(&chart(778, spike)));
    }

    #[test]
    fn nothing_and_zeros_make_a_picture_too() {
        for count in [0, 10] {
            elements(&chart(count, |_| 0.0));
        }
    }

    #[test]
    fn an_axis_goes_in_steps_that_are_easy_to_read() {
        assert_eq!([7.0, 95.0, 130.0, 0.3].map(step), [2.0, 50.0, 50.0, 0.1]);
        assert_eq!(label(0.5, 0.1), "0.5");
        assert_eq!(label(150.0, 50.0), "150");
    }
}
