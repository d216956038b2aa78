/** Lets work begin, first come first served, as long as what it holds together stays in a limit. */
export class PixelBudget {
  private free: number;
  private readonly waiting: { readonly pixels: number; readonly begin: () => void }[] = [];

  constructor(limit: number) {
    this.free = limit;
  }

  /** `pixels` must be within the limit. */
  async hold<T>(pixels: number, work: () => Promise<T>): Promise<T> {
    if (this.waiting.length > 0 || pixels > this.free) {
      await new Promise<void>((begin) => {
        this.waiting.push({ pixels, begin });
      });
    } else {
      this.free -= pixels;
    }
    try {
      return await work();
    } finally {
      this.free += pixels;
      this.admit();
    }
  }

  private admit(): void {
    for (let [next] = this.waiting; next && next.pixels <= this.free; [next] = this.waiting) {
      this.waiting.shift();
      this.free -= next.pixels;
      next.begin();
    }
  }
}
