/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "cli/chart.h"
#include "cli/eval-report.h"

static const char *const measure_names[MEASURES] = { "auc", "at0", "at1", "at2", "at5", "at10", "at20" };

void eval_report_csv_header(FILE *out)
{
	fputs("dataset,split,detector,part,name,traces,measure,value,low,high\n", out);
}

/* A name from outside as a field: quoted, quotes doubled. */
static void print_field(const char *text, FILE *out)
{
	char escaped[256];

	escape_text(escaped, sizeof(escaped), text);
	fputc('"', out);
	for (const char *c = escaped; *c; c++) {
		if (*c == '"')
			fputc('"', out);
		fputc(*c, out);
	}
	fputc('"', out);
}

static void print_start(const struct evaluation *evaluation, const char *split, size_t detector, const char *part,
			const char *name, size_t traces, FILE *out)
{
	print_field(evaluation->set->name, out);
	fprintf(out, ",%s,%s,%s,", split, evaluation->detectors[detector].name, part);
	print_field(name, out);
	fprintf(out, ",%zu,", traces);
}

static void print_intervals(const struct evaluation *evaluation, const char *split, size_t detector, const char *part,
			    const struct interval *intervals, FILE *out)
{
	for (int m = 0; m < MEASURES; m++) {
		print_start(evaluation, split, detector, part, "", evaluation->attacks, out);
		fprintf(out, "%s,%.4f,%.4f,%.4f\n", measure_names[m], intervals[m].value, intervals[m].low, intervals[m].high);
	}
}

static void print_detection(const struct evaluation *evaluation, size_t detector, const char *part, const char *name,
			    const struct detection *detection, FILE *out)
{
	for (int i = 0; i < RATES; i++) {
		print_start(evaluation, "given", detector, part, name, detection->units, out);
		fprintf(out, "%s,%.4f,,\n", measure_names[1 + i], detection->share[i]);
	}
}

void eval_report_csv(const struct evaluation *evaluation, FILE *out)
{
	const struct dataset *set = evaluation->set;

	for (size_t d = 0; d < evaluation->n_detectors; d++) {
		const struct detector_result *result = &evaluation->results[d];

		print_intervals(evaluation, "given", d, "all", result->measures, out);
		print_intervals(evaluation, "given", d, "difference", result->differences, out);
		if (evaluation->resplits) {
			print_intervals(evaluation, "resplit", d, "all", result->resplit, out);
			print_intervals(evaluation, "resplit", d, "difference", result->resplit_differences, out);
		}
		for (int i = 0; i < RATES; i++) {
			print_start(evaluation, "given", d, "caught", "", set->n_attacks, out);
			fprintf(out, "%s,%.4f,,\n", measure_names[1 + i], (double)result->caught[i] / (double)set->n_attacks);
		}
		for (size_t i = 0; i < set->n_kinds; i++)
			print_detection(evaluation, d, "kind", set->kinds[i], &result->kinds[i], out);
		for (size_t i = 0; i < set->n_attacks; i++)
			print_detection(evaluation, d, "attack", set->attacks[i].name, &result->attacks[i], out);
	}
}

/* Figures in the JSON are as exact as they mean something. */
static json_t *number(double value)
{
	return json_real(round(value * 1e6) / 1e6);
}

static json_t *intervals_json(const struct interval *intervals)
{
	json_t *object = json_object();

	for (int m = 0; m < MEASURES; m++)
		json_object_set_new(object, measure_names[m],
				    json_pack("{s:o, s:o, s:o}", "value", number(intervals[m].value), "low",
					      number(intervals[m].low), "high", number(intervals[m].high)));
	return object;
}

/* JSON holds UTF-8 only; names of files may be anything. */
static json_t *name_json(const char *name)
{
	char escaped[512];
	json_t *string = json_string(name);

	return string ? string : json_string(escape_text(escaped, sizeof(escaped), name));
}

static json_t *detections_json(const struct dataset *set, bool kind, const struct detection *detections, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++) {
		json_t *object = json_object();

		json_object_set_new(object, "name", name_json(kind ? set->kinds[i] : set->attacks[i].name));
		if (!kind)
			json_object_set_new(object, "kind", name_json(set->kinds[set->attacks[i].kind]));
		json_object_set_new(object, "traces", json_integer(detections[i].units));
		for (int m = 0; m < RATES; m++)
			json_object_set_new(object, measure_names[1 + m], number(detections[i].share[m]));
		json_array_append_new(array, object);
	}
	return array;
}

static json_t *detector_json(const struct evaluation *evaluation, size_t d)
{
	const struct dataset *set = evaluation->set;
	const struct detector_result *result = &evaluation->results[d];
	json_t *object = json_object(), *caught = json_object();

	for (int i = 0; i < RATES; i++)
		json_object_set_new(caught, measure_names[1 + i], json_integer(result->caught[i]));
	json_object_set_new(object, "detector", json_string(evaluation->detectors[d].name));
	json_object_set_new(object, "measures", intervals_json(result->measures));
	json_object_set_new(object, "difference", intervals_json(result->differences));
	if (evaluation->resplits) {
		json_object_set_new(object, "resplit", intervals_json(result->resplit));
		json_object_set_new(object, "resplit_difference", intervals_json(result->resplit_differences));
	}
	json_object_set_new(object, "attacks_caught", caught);
	json_object_set_new(object, "kinds", detections_json(set, true, result->kinds, set->n_kinds));
	json_object_set_new(object, "attacks", detections_json(set, false, result->attacks, set->n_attacks));
	return object;
}

json_t *eval_report_json(const struct evaluation *evaluation)
{
	const struct dataset *set = evaluation->set;
	json_t *object = json_object(), *detectors = json_array();

	for (size_t d = 0; d < evaluation->n_detectors; d++)
		json_array_append_new(detectors, detector_json(evaluation, d));
	json_object_set_new(object, "dataset", name_json(set->name));
	json_object_set_new(object, "training", json_integer((json_int_t)set->roles[ROLE_TRAINING]));
	json_object_set_new(object, "folds", json_integer(evaluation->folds));
	json_object_set_new(object, "normals", json_integer((json_int_t)evaluation->normals));
	json_object_set_new(object, "attack_traces", json_integer((json_int_t)evaluation->attacks));
	json_object_set_new(object, "calls", json_integer((json_int_t)set->calls));
	json_object_set_new(object, "resplits", json_integer(evaluation->resplits));
	json_object_set_new(object, "reference", json_string(evaluation->detectors[evaluation->reference].name));
	json_object_set_new(object, "detectors", detectors);
	return object;
}

/* One detector's curve in percent. */
static int make_curve(const struct detector_result *result, struct chart_point **ret_points, size_t *ret_n)
{
	_cleanup_free_ double (*curve)[2] = NULL;
	int n = roc_curve(&result->roc, &curve);
	struct chart_point *points;

	if (n < 0)
		return n;
	points = calloc((size_t)n, sizeof(*points));
	if (!points)
		return -ENOMEM;
	for (int i = 0; i < n; i++)
		points[i] = (struct chart_point){ 100 * curve[i][0], 100 * curve[i][1] };
	*ret_points = points;
	*ret_n = (size_t)n;
	return 0;
}

int eval_report_chart(const struct evaluation *evaluation, const char *path, struct errmsg *err)
{
	struct chart_point *points[DETECTORS_MAX] = { 0 };
	struct chart_series series[DETECTORS_MAX];
	struct chart_marker legend[DETECTORS_MAX]; /* inside the plot, where a ROC curve has room */
	char names[DETECTORS_MAX][80], title[300];
	size_t n = evaluation->n_detectors;
	struct chart chart = {
		.title = title, .series = series, .n_series = n, .markers = legend, .n_markers = n, .no_legend = true,
		.subtitle = "attacks detected against normal processes that raise an alarm",
		.x = { .label = "false alarms", .unit = "%", .min = 0, .max = 100 },
		.y = { .label = "detected", .unit = "%", .min = 0, .max = 100 },
	};
	int r = 0;

	snprintf(title, sizeof(title), "Detection in %s", evaluation->set->name);
	for (size_t d = 0; d < n && r >= 0; d++) {
		snprintf(names[d], sizeof(names[d]), "%s%s, AUC %.3f", d < CHART_SERIES_COLORS ? "" : "(dashes) ",
			 evaluation->detectors[d].name, evaluation->results[d].measures[0].value);
		legend[d] = (struct chart_marker){
			.kind = CHART_MARK_POINT, .x = 62, .y = 46 - (double)d * fmin(4, 44.0 / (double)n), .label = names[d],
			.color = (enum chart_color)(d % CHART_SERIES_COLORS),
		};
		series[d] = (struct chart_series){
			.name = names[d], .color = (enum chart_color)(d % CHART_SERIES_COLORS),
			.style = d < CHART_SERIES_COLORS ? CHART_LINE : CHART_DASHES,
		};
		r = make_curve(&evaluation->results[d], &points[d], &series[d].n);
		series[d].points = points[d];
	}
	if (r >= 0)
		r = chart_write(&chart, path, chart_format_of(path), 900, 700, err);
	else
		errmsg_errno(err, r, path, "cannot draw");
	for (size_t d = 0; d < n; d++)
		free(points[d]);
	return r;
}
