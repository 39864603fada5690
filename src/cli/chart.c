/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What all backends share: ranges, ticks, reduction. */
#include "cli/chart.h"

#include <math.h>
#include <string.h>
#include <strings.h>

static void widen(double value, double *min, double *max)
{
	if (!isfinite(value))
		return;
	*min = fmin(*min, value);
	*max = fmax(*max, value);
}

/* 1, 2 or 5 times a power of ten: the smallest that divides the span into at most n parts. */
static double nice_step(double span, unsigned n)
{
	double raw = span / (n ? n : 1), power = pow(10, floor(log10(raw))), part = raw / power;

	return power * (part <= 1.000001 ? 1 : part <= 2.000001 ? 2 : part <= 5.000001 ? 5 : 10);
}

static void linear_ticks(struct chart_scale *scale, unsigned n)
{
	double first;

	scale->step = nice_step(scale->max - scale->min, MIN(n, CHART_TICKS_MAX - 1));
	first = ceil(scale->min / scale->step - 1e-9);
	for (unsigned i = 0; i < CHART_TICKS_MAX; i++) {
		double tick = (first + i) * scale->step;

		if (tick > scale->max + scale->step * 1e-6)
			break;
		scale->ticks[scale->n_ticks++] = tick;
	}
}

static void log_ticks(struct chart_scale *scale, unsigned n)
{
	static const double parts[] = { 1, 2, 5 };
	double decades = log10(scale->max / scale->min);
	unsigned per_decade = decades * 3 <= n ? 3 : 1, every = (unsigned)ceil(decades / (n ? n : 1));
	int from = (int)floor(log10(scale->min) + 1e-9), to = (int)ceil(log10(scale->max));

	scale->step = scale->min;
	for (int power = from; power <= to; power += (int)MAX(every, 1U))
		for (unsigned i = 0; i < per_decade; i++) {
			double tick = pow(10, power) * parts[i];

			if (tick >= scale->min * 0.999999 && tick <= scale->max * 1.000001 && scale->n_ticks < CHART_TICKS_MAX)
				scale->ticks[scale->n_ticks++] = tick;
		}
}

static void make_scale(const struct chart_axis *axis, double min, double max, unsigned ticks, struct chart_scale *scale)
{
	memset(scale, 0, sizeof(*scale));
	scale->unit = axis->unit;
	scale->logarithmic = axis->logarithmic;
	if (axis->min < axis->max) {
		min = axis->min > 0 || !axis->logarithmic ? axis->min : min;
		max = axis->max;
	}
	if (!(min <= max)) { /* no data at all */
		min = axis->logarithmic ? 1 : 0;
		max = axis->logarithmic ? 10 : 1;
	}
	if (axis->logarithmic && min <= 0)
		min = max > 0 ? max / 1000 : 1;
	if (!(max > min))
		max = min + fmax(1, fabs(min) * 0.01);
	scale->min = min;
	scale->max = max;
	if (axis->logarithmic)
		log_ticks(scale, ticks);
	else
		linear_ticks(scale, ticks);
}

void chart_scales(const struct chart *chart, unsigned x_ticks, unsigned y_ticks, struct chart_scale *ret_x,
		  struct chart_scale *ret_y)
{
	double x_min = INFINITY, x_max = -INFINITY, y_min = INFINITY, y_max = -INFINITY;

	for (size_t i = 0; i < chart->n_series; i++) {
		const struct chart_series *series = &chart->series[i];

		for (size_t k = 0; k < series->n; k++) {
			if (!chart->x.logarithmic || series->points[k].x > 0)
				widen(series->points[k].x, &x_min, &x_max);
			if (!chart->y.logarithmic || series->points[k].y > 0)
				widen(series->points[k].y, &y_min, &y_max);
		}
	}
	for (size_t i = 0; i < chart->n_lines; i++)
		if (chart->lines[i].vertical)
			widen(chart->lines[i].at, &x_min, &x_max);
		else
			widen(chart->lines[i].at, &y_min, &y_max);
	make_scale(&chart->x, x_min, x_max, x_ticks, ret_x);
	make_scale(&chart->y, y_min, y_max, y_ticks, ret_y);
}

double chart_position(const struct chart_scale *scale, double value)
{
	if (scale->logarithmic)
		return value > 0 ? log(value / scale->min) / log(scale->max / scale->min) : -1;
	return (value - scale->min) / (scale->max - scale->min);
}

/* As many decimals as tell neighbouring ticks apart. */
static int decimals(double step)
{
	double digits = step > 0 ? ceil(-log10(step) - 1e-9) : 0;

	return digits > 0 ? (int)fmin(digits, 6) : 0;
}

const char *chart_tick_label(const struct chart_scale *scale, double value, char *buffer, size_t size)
{
	static const struct {
		double factor;
		const char *suffix;
	} thousands[] = { { 1e9, " G" }, { 1e6, " M" }, { 1e3, " k" } };
	double step = scale->logarithmic ? pow(10, floor(log10(value))) : scale->step;

	if (fabs(value) < step * 1e-6)
		value = 0;
	if (scale->unit) {
		snprintf(buffer, size, "%.*f %s", decimals(step), value, scale->unit);
		return buffer;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(thousands); i++)
		if (fmax(fabs(scale->min), fabs(scale->max)) >= thousands[i].factor * 10 &&
		    fabs(value) >= thousands[i].factor * (scale->logarithmic ? 1 : 0.0999)) {
			snprintf(buffer, size, "%.*f%s", decimals(step / thousands[i].factor), value / thousands[i].factor,
				 thousands[i].suffix);
			return buffer;
		}
	snprintf(buffer, size, "%.*f", decimals(step), value);
	return buffer;
}

int chart_reducer_init(struct chart_reducer *reducer, size_t buckets)
{
	memset(reducer, 0, sizeof(*reducer));
	reducer->limit = (buckets + 1) & ~(size_t)1;
	reducer->width = 1;
	reducer->buckets = calloc(reducer->limit, sizeof(*reducer->buckets));
	return reducer->buckets ? 0 : -ENOMEM;
}

void chart_reducer_done(struct chart_reducer *reducer)
{
	free(reducer->buckets);
	memset(reducer, 0, sizeof(*reducer));
}

static void bucket_merge(struct chart_bucket *into, const struct chart_bucket *from)
{
	if (!from->used)
		return;
	if (!into->used) {
		*into = *from;
		return;
	}
	if (from->low.y < into->low.y)
		into->low = from->low;
	if (from->high.y > into->high.y)
		into->high = from->high;
	into->last = from->last;
}

static void halve(struct chart_reducer *reducer)
{
	for (size_t i = 0; i < reducer->limit / 2; i++) {
		struct chart_bucket merged = reducer->buckets[2 * i];

		bucket_merge(&merged, &reducer->buckets[2 * i + 1]);
		reducer->buckets[i] = merged;
	}
	memset(reducer->buckets + reducer->limit / 2, 0, reducer->limit / 2 * sizeof(*reducer->buckets));
	reducer->width *= 2;
}

void chart_reducer_add(struct chart_reducer *reducer, double x, double y)
{
	struct chart_point point = { x, y };
	struct chart_bucket one = { point, point, point, point, true };
	double index;

	if (!isfinite(x) || !isfinite(y))
		return;
	if (!reducer->started) {
		reducer->started = true;
		if (!reducer->fixed)
			reducer->start = x;
	}
	index = (x - reducer->start) / reducer->width;
	while (index >= (double)reducer->limit && !reducer->fixed) {
		halve(reducer);
		index = (x - reducer->start) / reducer->width;
	}
	index = fmin(fmax(index, 0), (double)(reducer->limit - 1));
	bucket_merge(&reducer->buckets[(size_t)index], &one);
}

static bool same_point(const struct chart_point *a, const struct chart_point *b)
{
	return a->x == b->x && a->y == b->y;
}

int chart_reducer_points(const struct chart_reducer *reducer, struct chart_point **ret_points, size_t *ret_n)
{
	struct chart_point *points = malloc((reducer->limit * 4 + 1) * sizeof(*points));
	size_t n = 0;

	if (!points)
		return -ENOMEM;
	for (size_t i = 0; i < reducer->limit; i++) {
		const struct chart_bucket *b = &reducer->buckets[i];
		bool low_first = b->low.x <= b->high.x;
		const struct chart_point *order[] = { &b->first, low_first ? &b->low : &b->high,
						      low_first ? &b->high : &b->low, &b->last };

		if (!b->used)
			continue;
		for (unsigned k = 0; k < 4; k++)
			if (!n || !same_point(&points[n - 1], order[k]))
				points[n++] = *order[k];
	}
	*ret_points = points;
	*ret_n = n;
	return 0;
}

int chart_reduce(const struct chart_series *series, const struct chart_scale *x, unsigned columns,
		 const struct chart_point **ret_points, size_t *ret_n, struct chart_point **ret_owned)
{
	struct chart_reducer reducer;
	int r;

	*ret_owned = NULL;
	*ret_points = series->points;
	*ret_n = series->n;
	if (series->n <= (size_t)columns * 4 || series->style == CHART_POINTS || x->logarithmic)
		return 0;
	/* One more bucket at each end: what lies outside must not hide what lies inside. */
	r = chart_reducer_init(&reducer, columns + 2);
	if (r < 0)
		return r;
	reducer.fixed = true;
	reducer.width = (x->max - x->min) / (double)(reducer.limit - 2);
	reducer.start = x->min - reducer.width;
	for (size_t i = 0; i < series->n; i++)
		chart_reducer_add(&reducer, series->points[i].x, series->points[i].y);
	r = chart_reducer_points(&reducer, ret_owned, ret_n);
	chart_reducer_done(&reducer);
	if (r < 0)
		return r;
	*ret_points = *ret_owned;
	return 0;
}

const char *chart_mark_legend(const struct chart *chart, enum chart_mark kind, char *buffer, size_t size)
{
	static const char *const names[CHART_MARKS] = { "point", "alarm", "foreign call alarm", "gap" };
	size_t n = 0;

	for (size_t i = 0; i < chart->n_markers; i++)
		n += chart->markers[i].kind == kind;
	if (!n || kind == CHART_MARK_POINT)
		return NULL;
	snprintf(buffer, size, "%zu %s%s", n, names[kind], n == 1 ? "" : "s");
	return buffer;
}

enum chart_format chart_format_of(const char *path)
{
	const char *dot = strrchr(path, '.');

	if (!dot)
		return CHART_FORMAT_NONE;
	return !strcasecmp(dot, ".svg") ? CHART_SVG : !strcasecmp(dot, ".png") ? CHART_PNG :
	       !strcasecmp(dot, ".pdf") ? CHART_PDF : CHART_FORMAT_NONE;
}
