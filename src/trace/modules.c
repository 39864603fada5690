/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trace/modules.h"

#include <errno.h>
#include <string.h>

void modules_init(struct modules *modules)
{
	*modules = (struct modules){ .n = 1 };
}

void modules_done(struct modules *modules)
{
	for (unsigned i = 1; i < modules->n; i++)
		free(modules->module[i].path);
	free(modules->module);
	modules_init(modules);
}

static int modules_new(struct modules *modules, const char *path, const char *build_id, uint64_t device, uint64_t inode)
{
	struct module *module;

	if (modules->n > MODULE_MAX)
		return -ENOSPC;
	if (modules->n >= modules->allocated) {
		unsigned n = MAX(modules->allocated * 2, 16U);

		module = realloc(modules->module, n * sizeof(*module));
		if (!module)
			return -ENOMEM;
		modules->module = module;
		modules->allocated = n;
	}
	module = &modules->module[modules->n];
	*module = (struct module){ .path = strdup(path), .device = device, .inode = inode };
	if (!module->path)
		return -ENOMEM;
	snprintf(module->build_id, sizeof(module->build_id), "%s", build_id ? build_id : "");
	return (int)modules->n++;
}

unsigned modules_find(const struct modules *modules, const char *path, const char *build_id, uint64_t device, uint64_t inode)
{
	/* The last ones are the likeliest. */
	for (unsigned i = modules->n; i-- > 1;) {
		const struct module *module = &modules->module[i];

		if (module->device == device && module->inode == inode && !strcmp(module->path, path) &&
		    !strncmp(module->build_id, build_id ? build_id : "", sizeof(module->build_id) - 1))
			return i;
	}
	return 0;
}

int modules_add(struct modules *modules, const char *path, const char *build_id, uint64_t device, uint64_t inode)
{
	unsigned found = modules_find(modules, path, build_id, device, inode);

	return found ? (int)found : modules_new(modules, path, build_id, device, inode);
}

int modules_append(struct modules *modules, const char *path, const char *build_id)
{
	return modules_new(modules, path, build_id, 0, 0);
}

const struct module *modules_get(const struct modules *modules, unsigned index)
{
	return index && index < modules->n ? &modules->module[index] : NULL;
}
