/** A typed emitter. A handler that throws doesn't keep the others from hearing. */
export type Unsubscribe = () => void;

export class Emitter<Events extends object> {
  private readonly handlers = new Map<keyof Events, Set<(value: never) => void>>();

  on<K extends keyof Events>(type: K, handler: (value: Events[K]) => void): Unsubscribe {
    let set = this.handlers.get(type);
    if (!set) {
      set = new Set();
      this.handlers.set(type, set);
    }
    set.add(handler);
    return () => {
      set.delete(handler);
    };
  }

  once<K extends keyof Events>(type: K, handler: (value: Events[K]) => void): Unsubscribe {
    const off = this.on(type, (value) => {
      off();
      handler(value);
    });
    return off;
  }

  emit<K extends keyof Events>(type: K, value: Events[K]): void {
    for (const handler of [...(this.handlers.get(type) ?? [])]) {
      try {
        (handler as (value: Events[K]) => void)(value);
      } catch (error) {
        // Reported as uncaught, after everyone has heard.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  removeAll(): void {
    this.handlers.clear();
  }
}
