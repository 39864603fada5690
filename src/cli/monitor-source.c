/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/monitor-source.h"

#include <string.h>

#include "base/words.h"

int source_check(const struct source_config *config, bool *ret_live, struct errmsg *err)
{
	bool live = targets_count(&config->targets);
	int kinds = live + !!config->trace + config->listen;

	if (!kinds)
		return errmsg_set(err, -EINVAL, NULL, 0, "what to watch? a trace file, -p PID, -x FILE, -u UNIT, -g or -- COMMAND");
	if (kinds > 1)
		return errmsg_set(err, -EINVAL, NULL, 0, "one source at a time: a trace file, a listening socket (-g), or live processes");
	if (!live && config->targets.sensor && strcmp(config->targets.sensor, "auto") && strcmp(config->targets.sensor, "replay"))
		return errmsg_set(err, -EINVAL, NULL, 0, "--sensor is for live processes; here the events come as they were recorded");
	*ret_live = !config->trace;
	return 0;
}

/* What is watched in words, and as the words of a command line. */
void source_describe(struct source *source, const struct source_config *config)
{
	const struct {
		const struct option_list *list;
		const char *word, *option;
	} lists[] = {
		{ &config->targets.pids, "PID ", "-p" }, { &config->targets.exes, "", "-x" },
		{ &config->targets.units, "", "-u" }, { &config->targets.cgroups, "", "--cgroup" },
	};
	char *const *command = config->targets.command;
	size_t t = 0, r = 0;
	char word[512];

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		for (size_t k = 0; k < lists[i].list->n; k++) {
			const char *value = lists[i].list->values[k];

			if (t < sizeof(source->title))
				t += (size_t)snprintf(source->title + t, sizeof(source->title) - t, "%s%s%s", t ? ", " : "", lists[i].word, value);
			if (r < sizeof(source->record))
				r += (size_t)snprintf(source->record + r, sizeof(source->record) - r, "%s%s %s", r ? " " : "", lists[i].option,
						      words_shell(value, word, sizeof(word)));
		}
	if (command && !r) {
		snprintf(source->title, sizeof(source->title), "%s", command[0]);
		r = (size_t)snprintf(source->record, sizeof(source->record), "--");
		for (char *const *arg = command; *arg && r < sizeof(source->record); arg++)
			r += (size_t)snprintf(source->record + r, sizeof(source->record) - r, " %s",
					      words_shell(*arg, word, sizeof(word)));
	}
	if (r >= sizeof(source->record)) /* half a command would be worse than none */
		source->record[0] = '\0';
	if (config->trace)
		snprintf(source->title, sizeof(source->title), "%s", strcmp(config->trace, "-") ? config->trace : "standard input");
}

static int open_sensor(struct source *source, const struct source_config *config, struct errmsg *err)
{
	struct target targets[TARGETS_MAX];
	struct sensor_config sensor = {
		.targets = targets, .follow_fork = config->follow_fork, .follow_exec = config->follow_exec,
		.origins = config->origins, .sites = config->origins, .interrupt = config->interrupt,
		.processes = true,
	};
	int r = targets_list(&config->targets, targets, &sensor.n_targets, err);

	if (config->trace)
		targets[sensor.n_targets++] = (struct target){ .kind = TARGET_FILE, .name = config->trace };
	if (!r)
		r = sensor_open(config->trace ? "replay" : config->targets.sensor, &sensor, &source->sensors[0], err);
	if (r < 0)
		return r;
	source->n = 1;
	source->sensor_name = source->sensors[0]->info.name;
	/* "auto" says why the better ones can't serve. */
	snprintf(source->note, sizeof(source->note), "%s", err->text);
	*err = (struct errmsg){ 0 };
	return 0;
}

int source_open(struct source *source, const struct source_config *config, struct errmsg *err)
{
	int r;

	*source = (struct source){ .live = !config->trace, .sensor_name = "" };
	source_describe(source, config);
	if (!config->listen)
		return open_sensor(source, config, err);
	r = stream_listen(config->socket, &source->listener, err);
	if (r < 0)
		return r;
	source->sensor_name = "stream";
	snprintf(source->title, sizeof(source->title), "what comes to %s", stream_listener_path(source->listener));
	return 0;
}

pid_t source_command(const struct source *source)
{
	return source->n ? source->sensors[0]->command : 0;
}

void source_close(struct source *source)
{
	for (size_t i = 0; i < source->n; i++)
		sensor_close(source->sensors[i]);
	source->n = 0;
	source->listener = stream_listener_close(source->listener);
}

size_t source_poll(const struct source *source, struct pollfd *fds, bool *ret_ready)
{
	size_t n = 0;

	*ret_ready = false;
	for (size_t i = 0; i < source->n; i++) {
		int fd = source->sensors[i]->ops->fd(source->sensors[i]);

		*ret_ready |= fd < 0;
		fds[n++] = (struct pollfd){ .fd = fd, .events = POLLIN };
	}
	if (source->listener && source->n < SOURCE_SENSORS)
		fds[n++] = (struct pollfd){ .fd = stream_listener_fd(source->listener), .events = POLLIN };
	return n;
}

static void remove_sensor(struct source *source, size_t i)
{
	sensor_close(source->sensors[i]);
	source->n--;
	source->sensors[i] = source->sensors[source->n];
	source->checked[i] = source->checked[source->n];
}

struct delivery {
	struct source *source;
	size_t i;
	source_event_fn *fn;
	void *data;
};

static int deliver(void *data, const struct event *events, size_t n)
{
	struct delivery *d = data;
	int r = 0;

	if (!d->source->checked[d->i]) {
		d->source->checked[d->i] = true;
		r = d->fn(d->data, d->source->sensors[d->i], NULL, 0);
	}
	return r < 0 ? r : d->fn(d->data, d->source->sensors[d->i], events, n);
}

/* Everyone who waits at the door. Strangers are turned away by the listener; that is no reason to stop. */
static int accept_connections(struct source *source, struct errmsg *err)
{
	while (source->n < SOURCE_SENSORS) {
		int r = stream_accept(source->listener, &source->sensors[source->n], err);

		if (r == -EPERM) {
			source->warning = *err;
			continue;
		}
		if (r <= 0)
			return r;
		source->checked[source->n++] = false;
		source->connections++;
	}
	return 0;
}

int source_dispatch(struct source *source, source_event_fn *fn, void *data, struct errmsg *err)
{
	int r = source->listener ? accept_connections(source, err) : 0;

	for (size_t i = 0; i < source->n && r >= 0;) {
		struct delivery delivery = { source, i, fn, data };

		r = source->sensors[i]->ops->dispatch(source->sensors[i], deliver, &delivery, err);
		/* A connection that breaks ends alone; the others and the door stay. */
		if (source->listener && r <= 0 && r != -ENOMEM) {
			if (r < 0)
				source->warning = *err;
			remove_sensor(source, i);
			r = 0;
			continue;
		}
		if (!r && !source->listener)
			return 0;
		i++;
	}
	return r < 0 ? r : 1;
}
