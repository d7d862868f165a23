import {existsSync} from 'node:fs';
import {mkdir, readdir} from 'node:fs/promises';
import {join} from 'node:path';
import {CliError} from './cli_error.ts';
import {cacheFolder} from './host.ts';
import {downloadByPip, findPip} from './pip.ts';
import {compareVersions, isAmong, type Requirement, requirementText} from './requirement.ts';
import type {SetupContext} from './setup_context.ts';
import {downloadFromIndex} from './simple_index.ts';
import {parseWheelName, runsHere} from './wheel.ts';

/**
 * Where wheels come from: those that the user gives, then the cache, and only for the others a download, by pip if there
 * is one, else from an index.
 */
export class WheelSource {
  /** The folder where the downloaded ones are kept. */
  readonly cache: string;
  readonly #given: string[];
  readonly #indexUrl: string | undefined;
  readonly #context: SetupContext;
  readonly #used = new Set<string>();
  #kept: string[] = [];

  private constructor(given: string[], indexUrl: string | undefined, context: SetupContext) {
    this.cache = cacheFolder(context.host);
    this.#given = given;
    this.#indexUrl = indexUrl;
    this.#context = context;
  }

  /** @throws CliError if a given wheel is not there or runs elsewhere. */
  static async open(
    given: string[],
    indexUrl: string | undefined,
    context: SetupContext,
  ): Promise<WheelSource> {
    for (const path of given) {
      const name = parseWheelName(path);
      if (!existsSync(path))
        throw new CliError(`there is no file ${path}`, 'give the path of a wheel to --wheel');
      if (name === undefined || !runsHere(name, context.host)) {
        const message = `${path} is no wheel for Linux on x64 with glibc ${context.host.glibc}`;
        throw new CliError(message, 'its name has to end in …-manylinux…_x86_64.whl');
      }
    }
    const source = new WheelSource(given, indexUrl, context);
    await source.#look();
    return source;
  }

  /** Whether a requirement is met without a download. @throws CliError if a given wheel has another version. */
  has(requirement: Requirement): boolean {
    return this.#find(requirement) !== undefined;
  }

  /** The paths of wheels that meet the requirements, one each. @throws CliError if one cannot be had. */
  async obtain(requirements: Requirement[]): Promise<string[]> {
    const missing = requirements.filter((requirement) => !this.has(requirement));
    if (missing.length > 0) {
      await this.#download(missing);
      await this.#look();
    }
    return requirements.map((requirement) => {
      const path = this.#find(requirement);
      if (path === undefined) throw new Error(`no wheel of ${requirementText(requirement)} in ${this.cache}`);
      this.#used.add(path);
      return path;
    });
  }

  /** @throws CliError if a given wheel met no requirement. */
  refuseUnused(): void {
    const unused = this.#given.find((path) => !this.#used.has(path));
    if (unused === undefined) return;
    const needed = [...this.#used].map((path) => parseWheelName(path)!.name).join(', ');
    throw new CliError(
      `${unused} is not needed: the wheels are those of ${needed}`,
      'leave that --wheel out',
    );
  }

  async #look(): Promise<void> {
    await mkdir(this.cache, {recursive: true});
    this.#kept = (await readdir(this.cache)).map((file) => join(this.cache, file));
  }

  #find(requirement: Requirement): string | undefined {
    const named = (paths: string[]) =>
      paths.flatMap((path) => {
        const wheel = parseWheelName(path);
        return wheel?.name === requirement.name ? [{path, ...wheel}] : [];
      });
    const given = named(this.#given)[0];
    if (given !== undefined) {
      if (isAmong(given.version, requirement.versions)) return given.path;
      const message = `${given.path} is version ${given.version}, and ${requirement.versions} is needed`;
      throw new CliError(message, 'give another --wheel, or that version to --tf');
    }
    return named(this.#kept)
      .filter((wheel) => isAmong(wheel.version, requirement.versions) && runsHere(wheel, this.#context.host))
      .sort((a, b) => compareVersions(b.version, a.version))[0]?.path;
  }

  async #download(missing: Requirement[]): Promise<void> {
    const {host, say} = this.#context;
    const names = missing.map(({name}) => name).join(', ');
    const pip = await findPip(this.#context);
    if (pip !== undefined) {
      say(`downloading ${names} with pip into ${this.cache}`);
      return downloadByPip(pip, missing, this.#indexUrl, this.#context);
    }
    const indexUrl = this.#indexUrl ?? host.env.PIP_INDEX_URL;
    if (indexUrl === undefined) {
      const message = `there is no pip to download ${names} with, and no index is named`;
      throw new CliError(
        message,
        'install pip (apt-get install python3-pip), or use --index-url URL or --wheel FILE',
      );
    }
    say(`downloading ${names} from ${new URL(indexUrl).host} into ${this.cache}`);
    return downloadFromIndex(missing, indexUrl, this.#context);
  }
}
