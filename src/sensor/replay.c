/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A trace file as a sensor: what was recorded comes again, as fast as it is asked for. */
#include <errno.h>

#include "sensor/sensor.h"
#include "trace/trace.h"

#define REPLAY_BATCH 4096

struct replay {
	struct sensor sensor;
	struct trace_reader *reader;
	struct sensor_stats stats;
	bool origins;
	struct event events[REPLAY_BATCH];
};

static void replay_close(struct sensor *sensor)
{
	struct replay *replay = (struct replay *)sensor;

	trace_reader_close(replay->reader);
	free(replay);
}

static int replay_open(const struct sensor_config *config, struct sensor **ret_sensor, struct errmsg *err)
{
	struct replay *replay;
	const struct trace_info *info;
	int r;

	if (config->n_targets != 1 || config->targets[0].kind != TARGET_FILE)
		return errmsg_set(err, -EOPNOTSUPP, NULL, 0, "the replay sensor takes one trace file");
	replay = calloc(1, sizeof(*replay));
	if (!replay)
		return errmsg_errno(err, -ENOMEM, NULL, "starting the replay");
	replay->sensor.ops = &sensor_replay;
	replay->sensor.exit_status = -1;
	replay->origins = config->origins;
	r = trace_reader_open_interruptible(config->targets[0].name, TRACE_AUTO, config->interrupt, &replay->reader, err);
	if (r < 0) {
		replay_close(&replay->sensor);
		return r;
	}
	info = trace_reader_info(replay->reader);
	replay->sensor.info = (struct sensor_info){
		.name = sensor_replay.name,
		.arch = info->arch,
		.application = info->application,
		.build_id = info->build_id,
		.start = info->start,
	};
	modules_init(&replay->sensor.modules);
	*ret_sensor = &replay->sensor;
	return 0;
}

static int replay_fd(struct sensor *sensor)
{
	return -1;
}

static int replay_dispatch(struct sensor *sensor, sensor_event_fn *fn, void *data, struct errmsg *err)
{
	struct replay *replay = (struct replay *)sensor;
	ssize_t n = trace_reader_read(replay->reader, replay->events, REPLAY_BATCH, err);
	int r;

	if (n <= 0)
		return (int)n;
	/* The reader's own table, lent: it is theirs to free. */
	sensor->modules = *trace_reader_modules(replay->reader);
	for (ssize_t i = 0; i < n; i++) {
		const struct event *event = &replay->events[i];

		if (event->kind == EVENT_CALL) {
			replay->stats.calls++;
			if (replay->origins && EVENT_ORIGIN(event->origin) == ORIGIN_UNKNOWN)
				replay->stats.unknown_origins++;
		} else if (event->kind == EVENT_GAP) {
			replay->stats.lost = event_add_lost(replay->stats.lost, event->lost);
		}
	}
	r = fn(data, replay->events, (size_t)n);
	return r < 0 ? r : 1;
}

static void replay_stats(const struct sensor *sensor, struct sensor_stats *ret_stats)
{
	*ret_stats = ((const struct replay *)sensor)->stats;
}

const struct sensor_ops sensor_replay = {
	.name = "replay",
	.summary = "a trace file, as recorded",
	.open = replay_open,
	.fd = replay_fd,
	.dispatch = replay_dispatch,
	.stats = replay_stats,
	.close = replay_close,
};
