from bench import memory, reviews

if __name__ == "__main__":
    reviews.main()
    print(memory.measure(), flush=True)
