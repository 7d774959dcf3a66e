"""Programs that run side by side on one machine: started, watched, started again, ended.

Standard library only; knows neither what the programs are nor Redis.
"""
