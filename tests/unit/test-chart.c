/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Charts: no dip is lost however long the series, ticks are round numbers, text from outside stays harmless. */
#include <math.h>
#include <string.h>

#include "cli/chart.h"
#include "../tap.h"

static double lowest(const struct chart_point *points, size_t n, double *ret_x)
{
	double y = INFINITY;

	for (size_t i = 0; i < n; i++)
		if (points[i].y < y) {
			y = points[i].y;
			*ret_x = points[i].x;
		}
	return y;
}

static void test_reducer(void)
{
	static const size_t lengths[] = { 1, 2, 7, 64, 65, 1000, 12345, 3000000 };
	bool dips = true, peaks = true, bounded = true, sorted = true;

	for (size_t k = 0; k < ARRAY_SIZE(lengths); k++)
		for (size_t part = 0; part < 5; part++) {
			struct chart_reducer reducer;
			struct chart_point *points;
			size_t n, dip = lengths[k] * part / 5;
			double x = 0, highest = 0;

			chart_reducer_init(&reducer, 64);
			for (size_t i = 0; i < lengths[k]; i++)
				chart_reducer_add(&reducer, (double)(i + 1), i == dip ? 3 : i == dip + 1 ? 99.5 : 50 + (double)(i % 7));
			chart_reducer_points(&reducer, &points, &n);
			dips &= lowest(points, n, &x) == 3 && x == (double)(dip + 1);
			bounded &= n <= 64 * 4;
			for (size_t i = 0; i < n; i++) {
				highest = fmax(highest, points[i].y);
				sorted &= !i || points[i].x >= points[i - 1].x;
			}
			peaks &= lengths[k] <= dip + 1 || highest == 99.5;
			free(points);
			chart_reducer_done(&reducer);
		}
	ok(dips, "a dip of one point stays at its place, in series of one to three million points");
	ok(peaks, "and so does a peak");
	ok(bounded, "the points kept are bounded");
	ok(sorted, "and in order");
}

static void test_reduce(void)
{
	enum { N = 100000 };
	static struct chart_point points[N];
	struct chart_series series = { .points = points, .n = N };
	struct chart_axis zoomed = { .min = 20000, .max = 30000 };
	struct chart chart = { .series = &series, .n_series = 1, .x = zoomed };
	const struct chart_point *reduced;
	struct chart_point *owned;
	struct chart_scale x, y;
	double low = INFINITY;
	size_t n;

	for (size_t i = 0; i < N; i++)
		points[i] = (struct chart_point){ (double)i, i == 20001 ? 10 : i == 19000 || i == 31000 ? 1 : 90 };
	chart_scales(&chart, 8, 5, &x, &y);
	chart_reduce(&series, &x, 300, &reduced, &n, &owned);
	ok(n < 2000 && owned, "a long series is reduced to the columns of the plot");
	for (size_t i = 0; i < n; i++)
		if (reduced[i].x >= 20000 && reduced[i].x <= 30000)
			low = fmin(low, reduced[i].y);
	ok(low == 10, "what lies outside the plot does not hide a dip at its edge");
	free(owned);
	series.n = 100;
	chart_reduce(&series, &x, 300, &reduced, &n, &owned);
	ok(reduced == points && n == 100 && !owned, "a short one is drawn as it is");
}

static bool tick_is(const struct chart_scale *scale, unsigned i, const char *expected)
{
	char label[32];

	chart_tick_label(scale, scale->ticks[i], label, sizeof(label));
	if (!strcmp(label, expected))
		return true;
	printf("# tick %u is '%s', not '%s'\n", i, label, expected);
	return false;
}

static void test_scales(void)
{
	struct chart_point points[] = { { 1, 0.2 }, { 2138411, 0.9 } };
	struct chart_series series = { .points = points, .n = 2 };
	struct chart chart = { .series = &series, .n_series = 1, .y = { .unit = "%", .min = 0, .max = 100 } };
	struct chart_scale x, y;

	chart_scales(&chart, 6, 5, &x, &y);
	ok(y.n_ticks == 6 && tick_is(&y, 0, "0 %") && tick_is(&y, 5, "100 %"), "0 to 100 percent in steps of 20");
	ok(x.n_ticks == 4 && tick_is(&x, 0, "500 k") && tick_is(&x, 3, "2000 k"), "round numbers of calls");
	ok(chart_position(&y, 0) == 0 && chart_position(&y, 100) == 1, "the ends of the axis");

	points[1].x = 0.5;
	points[0].x = 0.001;
	chart.x.logarithmic = true;
	chart_scales(&chart, 4, 5, &x, &y);
	ok(tick_is(&x, 0, "0.001") && tick_is(&x, 1, "0.01") && fabs(chart_position(&x, 0.001)) < 1e-9, "decades of a logarithmic axis");

	chart = (struct chart){ 0 };
	chart_scales(&chart, 4, 5, &x, &y);
	ok(x.min < x.max && y.min < y.max && x.n_ticks, "no data still gives axes");
	points[1] = points[0];
	chart = (struct chart){ .series = &series, .n_series = 1 };
	chart_scales(&chart, 4, 5, &x, &y);
	ok(x.min < x.max && y.min < y.max, "and so does a single value");
}

static char *draw(const struct chart *chart, unsigned width, unsigned height, bool utf8, bool color)
{
	struct chart_terminal terminal = { width, height, color, utf8 };
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	chart_draw_terminal(chart, &terminal, out);
	fclose(out);
	return text;
}

static bool fits(const char *text, unsigned width, unsigned height)
{
	unsigned columns = 0, lines = 0;

	for (; *text; text++) {
		if (*text == '\n') {
			lines++;
			columns = 0;
		} else if ((*text & 0xc0) != 0x80 && ++columns > width) {
			return false;
		}
	}
	return lines <= height;
}

#define SUBTITLE "783 calls judged, mean of 32; lowest 23.2 % at call 803 of PID 905; 2 alarms by another mean; 17 calls lost in 2 gaps"

static void test_terminal(void)
{
	static const unsigned widths[] = { 60, 80, 120, 200 };
	struct chart_point points[500];
	struct chart_series series = { .name = "PID \033[2J 1", .points = points, .n = 500, .warn_below = 60 };
	struct chart_line line = { .at = 60, .label = "threshold 60 %", .color = CHART_RED };
	struct chart_marker markers[] = { { .kind = CHART_MARK_ALARM, .x = 250 }, { .kind = CHART_MARK_GAP, .x = 400 } };
	struct chart chart = { .title = "evil \033]0;title\007 n\303\240me", .subtitle = SUBTITLE, .x = { .label = "call" },
			       .y = { .unit = "%", .min = 0, .max = 100 }, .series = &series, .n_series = 1, .lines = &line,
			       .n_lines = 1, .markers = markers, .n_markers = 2 };
	bool all_fit = true;
	char *text;

	for (int i = 0; i < 500; i++)
		points[i] = (struct chart_point){ i, i > 245 && i < 255 ? 5 : 95 };
	for (unsigned width = 20; width < 200; width += 3)
		for (unsigned height = 10; height < 60; height += 7) {
			text = draw(&chart, width, height, true, false);
			all_fit &= fits(text, width, height);
			free(text);
		}
	ok(all_fit, "every size is kept to");
	for (size_t i = 0; i < ARRAY_SIZE(widths); i++) {
		text = draw(&chart, widths[i], 24, i & 1, false);
		ok(fits(text, widths[i], 24) && strstr(text, "2 gaps\n") && strstr(text, "783 calls"), "all of the subtitle in %u columns", widths[i]);
		free(text);
	}
	text = draw(&chart, 80, 24, true, false);
	ok(!strchr(text, '\033') && !strchr(text, '\007'), "no control sequence comes through, and none is ours without colours");
	ok(strstr(text, "▼") && strstr(text, "1 alarm") && strstr(text, "1 gap") && strstr(text, "threshold 60 %"),
	   "marks and the threshold are told");
	free(text);
	text = draw(&chart, 80, 24, false, false);
	for (const char *c = text; *c; c++)
		if (*c & 0x80)
			*text = '\0';
	ok(*text, "without UTF-8 all is ASCII");
	free(text);
	text = draw(&chart, 80, 24, true, true);
	ok(strstr(text, "\033[31m"), "with colours, the dip is red");
	free(text);
	text = draw(&(struct chart){ 0 }, 80, 24, true, true);
	ok(*text, "an empty chart is drawn");
	free(text);
}

int main(void)
{
	test_reducer();
	test_reduce();
	test_scales();
	test_terminal();
	ok(chart_format_of("a.SVG") == CHART_SVG && chart_format_of("b.png") == CHART_PNG && chart_format_of("c.pdf") == CHART_PDF &&
	   chart_format_of("png") == CHART_FORMAT_NONE, "the format is the end of the name");
	return tap_done();
}
