/** The name of an input or output as signatures have it: `:0`, which some exporters add, says nothing. */
export function servedName(name: string): string {
  return name.replace(/:0$/, '');
}
