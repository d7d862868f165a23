/** What a shader is specialised by: numbers and booleans that its text knows as constants and conditions. */
export type Specialization = Readonly<Record<string, number | boolean>>;

/** The lines of `source` whose conditions hold: `//#if NAME`, `//#else`, `//#end`, each on a line of its own, nested at will. */
function select(source: string, specialization: Specialization): string {
  const open: boolean[] = [];
  const lines: string[] = [];
  for (const line of source.split('\n')) {
    const [, directive, name] = /^\/\/#(if|else|end) ?(\w*)/.exec(line) ?? [];
    if (directive === 'if') open.push(Boolean(specialization[name!]));
    else if (directive === 'else') open.push(!open.pop());
    else if (directive === 'end') open.pop();
    else if (!line.startsWith('//') && open.every(Boolean)) lines.push(line);
  }
  return lines.join('\n');
}

/** A shader's text for the specialisation; its numbers become constants, unsigned. */
export function specialize(source: string, specialization: Specialization): string {
  const constants = Object.entries(specialization)
    .filter(([, value]) => typeof value === 'number')
    .map(([name, value]) => `const ${name} = ${value}u;`);
  return [...constants, select(source, specialization)].join('\n');
}

/** A part of a shader that is written for a matrix NAME, for the matrix `name`. */
export const instantiate = (part: string, name: string): string => part.replaceAll('NAME', name);
